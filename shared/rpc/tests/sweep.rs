//! Every procedure of the tables against the rules that hold for all of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use error::Code;
use protocol::{Class, Kind, Procedure, ReadOnly, qemu, remote};
use rpc::frame::{FRAME_LENGTH_MAX_ANONYMOUS, Status, decode_error};
use rpc::{Auth, Call, Limits, Listener, Server};
use std::sync::Arc;
use support::{Host, Raw, builder};

struct Nothing;

impl remote::Hypervisor<Call> for Nothing {}

fn calls() -> impl Iterator<Item = (u32, &'static Procedure)> {
    let remote = remote::PROCEDURES.iter().map(|procedure| (remote::PROGRAM, procedure));
    let qemu = qemu::PROCEDURES.iter().map(|procedure| (qemu::PROGRAM, procedure));
    remote.chain(qemu).filter(|(_, procedure)| procedure.kind == Kind::Call)
}

#[tokio::test]
async fn before_authentication_only_the_login_answers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sock");
    let server = Server::builder("s").programs(builder(Arc::new(Nothing)).build()).build();
    let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    server.serve(Listener::new("s", socket).auth(Auth::Sasl)).unwrap();
    let mut raw = Raw::connect(path.clone()).await;
    for (program, procedure) in calls() {
        let header = raw.header(program, procedure.number);
        raw.send(header, &[]).await;
        let reply = raw.receive().await.unwrap();
        if procedure.number == remote::proc::AUTH_LIST && program == remote::PROGRAM {
            let ret: remote::AuthListRet = support::result(&reply).unwrap();
            assert_eq!(ret.types, [remote::AuthType::Sasl]);
            continue;
        }
        assert_eq!(reply.header.status, Status::Error, "{}", procedure.name);
        let error = decode_error(reply.payload()).unwrap();
        let refused = (error.code(), error.message.as_str()) == (Some(Code::Rpc), "authentication required");
        assert_eq!(refused, procedure.class != Class::Auth, "{}: {}", procedure.name, error.message);
    }
    let length = u32::try_from(FRAME_LENGTH_MAX_ANONYMOUS + 1).unwrap();
    raw.write(&length.to_be_bytes()).await;
    assert!(raw.receive().await.is_none(), "large frames come after the login");
}

#[tokio::test]
async fn read_only_follows_the_table() {
    let host = Host::start("d", builder(Arc::new(Nothing)).build(), Limits::default());
    let mut raw = Raw::open(host.path("d-sock-ro")).await;
    let driver = |procedure: &Procedure| !matches!(procedure.class, Class::Auth | Class::Connection);
    for (program, procedure) in calls().filter(|(_, procedure)| driver(procedure)) {
        let header = raw.header(program, procedure.number);
        let error = raw.refused(header, &[]).await;
        let denied = error.code() == Some(Code::OperationDenied);
        assert_eq!(denied, procedure.read_only == ReadOnly::Deny, "{}: {}", procedure.name, error.message);
        if denied {
            assert_eq!(error.message, format!("operation forbidden: read only access prevents {}", procedure.api));
        }
    }
}

#[tokio::test]
async fn empty_arguments_cost_nothing() {
    let host = Host::start("d", builder(Arc::new(Nothing)).build(), Limits::default());
    let mut raw = Raw::open(host.path("d-sock")).await;
    let kept = |number| !matches!(number, remote::proc::CONNECT_CLOSE | remote::proc::CONNECT_OPEN);
    for (program, procedure) in calls().filter(|(_, procedure)| kept(procedure.number)) {
        let header = raw.header(program, procedure.number);
        raw.send(header, &[]).await;
        let reply = raw.receive().await.unwrap();
        assert_eq!(reply.header.serial, header.serial);
        if reply.header.status == Status::Error {
            let error = decode_error(reply.payload()).unwrap();
            let known = [Code::Rpc, Code::NoSupport, Code::AuthFailed];
            assert!(error.code().is_some_and(|code| known.contains(&code)), "{}: {error}", procedure.name);
        }
    }
}
