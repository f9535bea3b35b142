//! One row of a program's procedure table.

/// What a procedure is and who may call it.
#[derive(Debug)]
pub struct Procedure {
    /// Number on the wire.
    pub number: i32,
    /// Upper-case name without the program's prefix, e.g. `DOMAIN_GET_XML_DESC`.
    pub name: &'static str,
    /// The public function behind it, as error texts name it, e.g. `virDomainGetXMLDesc`.
    pub api: &'static str,
    /// Which kind of driver serves it.
    pub class: Class,
    /// Called by the client, or sent by the server.
    pub kind: Kind,
    /// Answered even while all ordinary workers are busy.
    pub high_priority: bool,
    /// Whether read-only clients may call it.
    pub read_only: ReadOnly,
    /// The data stream that a successful call opens.
    pub stream: Option<StreamInfo>,
    /// The call may carry descriptors.
    pub fds_in: bool,
    /// The reply may carry descriptors.
    pub fds_out: bool,
    /// Permissions that all have to pass: `object:permission[:flags]`.
    pub acl: &'static [&'static str],
    /// Permissions that remove objects from a returned list.
    pub acl_filter: &'static [&'static str],
    /// Which public event a server message stands for.
    pub event: Option<EventInfo>,
}

/// The driver class that serves a procedure; it decides where a call is routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Guests; also the few host calls that only hypervisor drivers have.
    Hypervisor,
    /// Virtual networks and their ports.
    Network,
    /// Pools and volumes.
    Storage,
    /// Host network interfaces.
    Interface,
    /// Host devices.
    Nodedev,
    /// Packet filters and their bindings.
    Nwfilter,
    /// Secrets.
    Secret,
    /// Served by every daemon itself.
    Connection,
    /// Allowed before authentication.
    Auth,
    /// Programs without classes: lock, log, admin, keepalive.
    Service,
}

/// Direction of the first message of a procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Client to server, answered by a reply.
    Call,
    /// Server to client, unasked.
    Event,
}

/// The read-only rule of a procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOnly {
    /// Read-only clients may call it.
    Allow,
    /// Read-only clients may not call it.
    Deny,
    /// Read-only clients may call it unless one of these flags is set.
    DenyIf(u32),
}

/// How the stream of a call behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamInfo {
    /// Who sends from the start; consoles and channels then go both ways.
    pub direction: Direction,
    /// Holes are allowed when the call carries this flag; 0 = never.
    pub sparse_if: u32,
}

/// Direction of a data stream, seen from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The server sends.
    Read,
    /// The client sends.
    Write,
}

/// Which public event a server message stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventInfo {
    /// Event number within its object kind.
    pub id: i32,
    /// Sent to old-style registrations, without a callback id.
    pub global: bool,
}
