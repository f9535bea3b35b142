//! The 24 byte header of every message.

use protocol::FRAME_HEAD;

/// Length of the header behind the length word.
pub const HEADER_LENGTH: usize = 24;
/// Largest length word: itself, header and body. libvirt's limit.
pub const FRAME_LENGTH_MAX: usize = 4 + 33_554_432;
/// Largest length word before authentication; the largest legal frame then is a SASL step of 256 KiB.
pub const FRAME_LENGTH_MAX_ANONYMOUS: usize = 320 * 1024;

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$each])* $variant,)*
            /// A word that the protocol does not know.
            Unknown(u32),
        }

        impl $name {
            /// The meaning of a word.
            pub fn from_word(word: u32) -> Self {
                match word {
                    $($word => $name::$variant,)*
                    other => $name::Unknown(other),
                }
            }

            /// The word on the wire.
            pub fn word(self) -> u32 {
                match self {
                    $($name::$variant => $word,)*
                    $name::Unknown(other) => other,
                }
            }
        }
    };
}

words! {
    /// What a message is.
    MessageType {
        /// A request.
        Call = 0,
        /// The answer to a request.
        Reply = 1,
        /// An event or a keepalive message.
        Message = 2,
        /// Data or end of a stream.
        Stream = 3,
        /// A request that descriptors follow.
        CallWithFds = 4,
        /// An answer that descriptors follow.
        ReplyWithFds = 5,
        /// A hole in a sparse stream.
        StreamHole = 6,
    }
}

impl MessageType {
    /// Whether a count of descriptors opens the body.
    pub fn has_fds(self) -> bool {
        matches!(self, MessageType::CallWithFds | MessageType::ReplyWithFds)
    }
}

words! {
    /// Outcome that a message reports.
    Status {
        /// Call, success, or the end of a stream.
        Ok = 0,
        /// The body is an error; from a client, on a stream: abort.
        Error = 1,
        /// The body is stream data.
        Continue = 2,
    }
}

/// Six words that say what a message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Program number.
    pub program: u32,
    /// Program version.
    pub version: u32,
    /// Procedure number.
    pub procedure: i32,
    /// What the message is.
    pub kind: MessageType,
    /// Chosen by the caller, echoed by everything that belongs to the call.
    pub serial: u32,
    /// Outcome.
    pub status: Status,
}

/// Where the serial stands in a whole frame.
pub(crate) const SERIAL_OFFSET: usize = 4 + 16;

impl Header {
    /// Reads the header.
    pub fn decode(bytes: &[u8; HEADER_LENGTH]) -> Header {
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Header {
            program: word(0),
            version: word(4),
            procedure: word(8).cast_signed(),
            kind: MessageType::from_word(word(12)),
            serial: word(16),
            status: Status::from_word(word(20)),
        }
    }

    /// Length word and header for a body of `body` bytes.
    pub fn head(&self, body: usize) -> [u8; FRAME_HEAD] {
        let length = u32::try_from(FRAME_HEAD + body).expect("bodies are limited far below 4 GiB");
        let words = [
            length,
            self.program,
            self.version,
            self.procedure.cast_unsigned(),
            self.kind.word(),
            self.serial,
            self.status.word(),
        ];
        let mut head = [0; FRAME_HEAD];
        for (place, word) in head.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        head
    }

    /// The header of the answer to this call.
    pub fn answer(&self, kind: MessageType, status: Status) -> Header {
        Header { kind, status, ..*self }
    }
}
