//! The rules by which a frame becomes a call, a stream packet or an error.

use super::connection::{Blocked, Connection};
use super::keepalive_packet;
use crate::call::{Call, ReplyExtras};
use crate::client::{Client, Permit, STREAMS_MAX, StreamEnd};
use crate::frame::{DESCRIPTORS_PER_FRAME_MAX, FRAME_LENGTH_MAX, Frame, Header, MessageType, Packet, Status};
use crate::link::Purpose;
use crate::program::{Program, RelayCall};
use crate::stream::StreamItem;
use error::{Code, Domain, Error};
use futures_util::FutureExt;
use futures_util::future::CatchUnwind;
use protocol::{Class, Kind, ReplyFuture, keepalive};
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What follows from a frame.
pub(super) enum Outcome {
    Continue,
    Close,
}

/// Handles one frame.
pub(super) async fn frame(connection: &mut Connection, frame: Frame) -> Outcome {
    let header = frame.header;
    match header.kind {
        MessageType::Call | MessageType::CallWithFds => call(connection, frame).await,
        MessageType::Stream | MessageType::StreamHole => return stream(connection, frame),
        MessageType::Message if header.program == keepalive::PROGRAM => {
            if header.procedure == keepalive::proc::PING {
                let pong = keepalive_packet(keepalive::proc::PONG);
                connection.client.link().send(pong, Purpose::Pong);
            }
        }
        // A client has no business sending these; libvirt drops them too.
        MessageType::Reply | MessageType::ReplyWithFds | MessageType::Message | MessageType::Unknown(_) => {}
    }
    Outcome::Continue
}

async fn call(connection: &mut Connection, frame: Frame) {
    let header = frame.header;
    let client = connection.client.clone();
    let Some(program) = connection.server.program(header.program, header.version).cloned() else {
        let text =
            format!("Cannot find program {} version {}", header.program.cast_signed(), header.version.cast_signed());
        return refuse(&client, &header, &rpc_error(text));
    };
    if header.status != Status::Ok {
        let text = format!("Unexpected message status {}", header.status.word());
        return refuse(&client, &header, &rpc_error(text));
    }
    let procedure = program.procedure(header.procedure).filter(|procedure| procedure.kind == Kind::Call);
    if !client.is_authenticated() && procedure.is_some_and(|procedure| procedure.class != Class::Auth) {
        return refuse(&client, &header, &rpc_error("authentication required"));
    }
    let mut relay = RelayCall { permit: client.begin_request(), client, frame, procedure };
    if relay.client.is_authenticated() {
        match program.relay(relay) {
            None => return,
            Some(back) => relay = back,
        }
    }
    let RelayCall { client, frame, permit, .. } = relay;
    let Some(procedure) = procedure else {
        return refuse(&client, &header, &rpc_error(format!("unknown procedure: {}", header.procedure)));
    };
    let (payload, fds) = frame.into_payload();
    let sparse = match procedure.stream {
        None => false,
        Some(_) if client.streams().len() >= STREAMS_MAX => {
            return refuse(&client, &header, &rpc_error("too many streams"));
        }
        Some(info) if info.sparse_if != 0 => {
            program.flags_of(header.procedure, &payload).is_some_and(|flags| flags & info.sparse_if != 0)
        }
        Some(_) => false,
    };
    let call = Call::new(client, header, procedure, fds, sparse);
    let future = start(&program, &call, payload);
    let mut running = Running { future, call: Some((call, permit)) };
    // Cheap calls are ready at once; the reply then leaves from here.
    match std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut running).poll(context))).await {
        Poll::Ready(done) => done.answer(),
        Poll::Pending => connection.running.push(running),
    }
}

type Caught = CatchUnwind<AssertUnwindSafe<ReplyFuture>>;
type Panic = Box<dyn Any + Send>;

/// Begins the call; a panic, then or later, costs this call and nothing else.
fn start(program: &Arc<dyn Program>, call: &Call, payload: bytes::Bytes) -> Caught {
    let future = std::panic::catch_unwind(AssertUnwindSafe(|| program.call(call.clone(), payload)))
        .unwrap_or_else(|panic| Box::pin(std::future::ready(Err(panicked(call, &panic)))));
    AssertUnwindSafe(future).catch_unwind()
}

/// A call in execution.
pub(super) struct Running {
    future: Caught,
    call: Option<(Call, Permit)>,
}

impl Future for Running {
    type Output = Done;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Done> {
        let result = std::task::ready!(Pin::new(&mut self.future).poll(context));
        let (call, permit) = self.call.take().expect("a future is not polled after it was ready");
        Poll::Ready(Done { call, result, _permit: permit })
    }
}

/// A call that has ended.
pub(super) struct Done {
    call: Call,
    result: Result<error::Result<Vec<u8>>, Panic>,
    _permit: Permit,
}

impl Done {
    /// Sends the reply.
    pub(super) fn answer(self) {
        let ReplyExtras { fds, stream, close } = self.call.take_reply_extras();
        let client = self.call.client();
        let header = self.call.header();
        let frame = match self.result {
            Ok(Ok(frame)) if frame.len() <= FRAME_LENGTH_MAX && fds.len() <= DESCRIPTORS_PER_FRAME_MAX => frame,
            failed => {
                let error = match failed {
                    Ok(Ok(_)) => rpc_error("Unable to encode message payload"),
                    Ok(Err(error)) => error,
                    Err(panic) => panicked(&self.call, &panic),
                };
                if let Some(stream) = stream {
                    stream.end();
                }
                return refuse(client, header, &error);
            }
        };
        let Some(stream) = stream else {
            client.link().send(Packet::reply(header, frame, fds), Purpose::Call);
            if close {
                client.close_after_reply();
            }
            return;
        };
        // Known before the reply is out: the client may answer it with data at once.
        let replaced = client.streams().insert(header.serial, StreamEnd::Local(stream.clone()));
        if let Some(StreamEnd::Local(replaced)) = replaced {
            replaced.end();
        }
        client.link().send(Packet::reply(header, frame, fds), Purpose::Call);
        if client.is_closed() {
            stream.end();
        } else if !stream.start() {
            client.forget_stream(header.serial);
            let error = Error::new(Domain::Rpc, Code::InternalError, "stream aborted by the server");
            client.link().send(Packet::stream_failure(header, &error), Purpose::Call);
        }
    }
}

fn stream(connection: &mut Connection, frame: Frame) -> Outcome {
    let header = frame.header;
    let Some(end) = connection.client.streams().get(&header.serial).cloned() else {
        // Packets may cross the end of their stream.
        return Outcome::Continue;
    };
    let shared = match end {
        StreamEnd::Relayed(relayed) => {
            connection.blocked = relayed.forward(&connection.client, frame).map(Blocked::Sibling);
            return Outcome::Continue;
        }
        StreamEnd::Local(shared) if shared.procedure() != header.procedure => return Outcome::Continue,
        StreamEnd::Local(shared) => shared,
    };
    let client = connection.client.clone();
    let item = match (header.kind, header.status) {
        (MessageType::StreamHole, _) => {
            let hole = xdr::from_slice::<protocol::net::StreamHole>(frame.payload());
            match hole {
                Ok(hole) if shared.is_sparse() && hole.flags == 0 && hole.length >= 0 => StreamItem::Hole(hole.length),
                _ => return Outcome::Close,
            }
        }
        (_, Status::Continue) => {
            let (payload, _) = frame.into_payload();
            if payload.is_empty() {
                return Outcome::Continue;
            }
            StreamItem::Data(payload)
        }
        (_, Status::Ok) => StreamItem::Finish,
        (_, Status::Error) => {
            client.forget_stream(header.serial);
            let answer = Packet::empty(header.answer(MessageType::Stream, Status::Ok));
            client.link().send(answer, Purpose::Call);
            StreamItem::Abort
        }
        (_, Status::Unknown(status)) => {
            client.forget_stream(header.serial);
            let error = rpc_error(format!("stream aborted with unexpected status {status}"));
            client.link().send(Packet::stream_failure(&header, &error), Purpose::Call);
            StreamItem::Abort
        }
    };
    shared.deliver(item);
    if !shared.has_room() {
        connection.blocked = Some(Blocked::Stream(shared));
    }
    Outcome::Continue
}

fn refuse(client: &Client, header: &Header, error: &Error) {
    tracing::debug!(client = client.id(), procedure = header.procedure, code = error.code, %error, "call failed");
    client.link().send(Packet::failure(header, error), Purpose::Call);
}

fn rpc_error(text: impl Into<String>) -> Error {
    Error::new(Domain::Rpc, Code::Rpc, text)
}

fn panicked(call: &Call, panic: &Panic) -> Error {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    tracing::error!(procedure = call.procedure().name, panic = text, "call panicked");
    Error::new(Domain::Rpc, Code::InternalError, format!("{} failed unexpectedly", call.procedure().api))
}
