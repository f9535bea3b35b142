//! How much clients may ask for.

use std::time::Duration;

/// Limits of a server; the defaults are libvirt's.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Clients at once; further ones wait in the listen backlog (`max_clients`).
    pub clients_max: usize,
    /// Clients that have not authenticated yet (`max_anonymous_clients`).
    pub anonymous_clients_max: usize,
    /// Calls of one client in execution; beyond it the client is not read (`max_client_requests`).
    pub client_requests_max: usize,
    /// Idle time after which a client is asked whether it lives; zero = never (`keepalive_interval`).
    pub keepalive_interval: Duration,
    /// Unanswered requests after which it is given up (`keepalive_count`).
    pub keepalive_count: u32,
    /// Time in which a frame that has begun must make progress.
    pub progress_deadline: Duration,
    /// Time in which a client must authenticate, a question to its user not counted.
    pub auth_deadline: Duration,
    /// Large receive buffers of all clients together, in bytes.
    pub partial_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            clients_max: 5000,
            anonymous_clients_max: 20,
            client_requests_max: 5,
            keepalive_interval: Duration::from_secs(5),
            keepalive_count: 5,
            progress_deadline: Duration::from_secs(60),
            auth_deadline: Duration::from_secs(60),
            partial_bytes_max: 256 * 1024 * 1024,
        }
    }
}
