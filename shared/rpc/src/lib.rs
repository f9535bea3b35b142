//! libvirt's RPC: frames, connections, calls, streams, events, the client and the router of frames.
//!
//! ```text
//!  socket ─▶ Link ─▶ FrameReader ─▶ dispatch ─┬▶ Program::call ─▶ service ─▶ reply ─▶ Link ─▶ socket
//!                                             ├▶ Stream (data of a call)
//!                                             └▶ Router ─▶ Peer ─▶ sibling daemon's socket
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`frame`] | messages as bytes; pure |
//! | `link` | a socket and its outbound queue |
//! | [`server`] | listeners, limits, one task per client, dispatch rules, keepalive |
//! | [`client`], [`identity`] | a connected client as drivers see it; who it is |
//! | [`call`], [`program`], [`stream`] | what a driver gets and implements |
//! | [`remote`] | the remote program of a daemon: connection, authentication, own classes |
//! | [`router`] | frames to sibling daemons, undecoded |
//! | [`connection`], `peer` | calling another daemon |
//! | [`blocking`] | a tiny client without a runtime |
//!
//! Nothing here knows what a domain or a network is.

pub mod blocking;
pub mod call;
pub mod client;
pub mod connection;
pub mod frame;
pub mod identity;
mod link;
mod peer;
pub mod program;
pub mod remote;
pub mod router;
pub mod server;
pub mod stream;

pub use call::Call;
pub use client::{Auth, Client};
pub use connection::ClientConnection;
pub use identity::{Identity, PeerCredentials};
pub use program::{Program, RelayCall};
pub use remote::{RemoteConfig, RemoteProgram};
pub use router::Router;
pub use server::{Limits, Listener, Server};
pub use stream::{Stream, StreamItem};
