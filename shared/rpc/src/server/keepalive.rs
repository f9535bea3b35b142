//! When a silent peer is asked, and when it is given up. Pure: the clock is an argument.

use crate::frame::{Header, MessageType, Packet, Status};
use protocol::keepalive;
use std::time::Duration;
use tokio::time::Instant;

/// The state of asking one peer.
#[derive(Debug)]
pub(crate) struct Keepalive {
    interval: Duration,
    count: u32,
    unanswered: u32,
    /// When the peer was heard or asked last.
    last: Instant,
}

/// What the clock says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing to do before this instant.
    Wait(Instant),
    /// Ask now.
    Ask,
    /// The peer did not answer in time.
    Dead,
}

impl Keepalive {
    /// `None` when the interval is zero: never ask.
    pub(crate) fn new(interval: Duration, count: u32, now: Instant) -> Option<Self> {
        (!interval.is_zero()).then_some(Keepalive { interval, count, unanswered: 0, last: now })
    }

    /// Something arrived.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.unanswered = 0;
        self.last = now;
    }

    /// Looks at the clock; after [`Verdict::Ask`] a request counts as sent.
    pub(crate) fn check(&mut self, now: Instant) -> Verdict {
        let due = self.last + self.interval;
        if now < due {
            return Verdict::Wait(due);
        }
        if self.unanswered >= self.count {
            return Verdict::Dead;
        }
        self.unanswered += 1;
        self.last = now;
        Verdict::Ask
    }
}

/// A keepalive message: [`keepalive::proc::PING`] or [`keepalive::proc::PONG`].
pub(crate) fn packet(procedure: i32) -> Packet {
    Packet::empty(Header {
        program: keepalive::PROGRAM,
        version: keepalive::VERSION,
        procedure,
        kind: MessageType::Message,
        serial: 0,
        status: Status::Ok,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_peer_is_asked_and_then_given_up() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut keepalive = Keepalive::new(5 * second, 2, start).unwrap();
        assert_eq!(keepalive.check(start + 4 * second), Verdict::Wait(start + 5 * second));
        assert_eq!(keepalive.check(start + 5 * second), Verdict::Ask);
        keepalive.heard(start + 6 * second);
        assert_eq!(keepalive.check(start + 11 * second), Verdict::Ask);
        assert_eq!(keepalive.check(start + 16 * second), Verdict::Ask);
        assert_eq!(keepalive.check(start + 20 * second), Verdict::Wait(start + 21 * second));
        assert_eq!(keepalive.check(start + 21 * second), Verdict::Dead);
        assert!(Keepalive::new(Duration::ZERO, 5, start).is_none());
    }
}
