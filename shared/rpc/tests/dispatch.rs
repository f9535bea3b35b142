//! The rules by which a server answers, each seen from a raw socket.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use error::{Code, Domain};
use protocol::remote;
use rpc::frame::{MessageType, Status};
use rpc::{Call, Limits};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{Host, PATIENCE, REMOTE, Raw, builder};
use tokio::sync::Notify;

/// A driver whose calls show what the server does.
#[derive(Default)]
struct Driver {
    running: AtomicUsize,
    most: AtomicUsize,
    go: Notify,
}

impl remote::Hypervisor<Call> for Driver {
    async fn connect_get_hostname(&self, _: &Call) -> error::Result<remote::ConnectGetHostnameRet> {
        Ok(remote::ConnectGetHostnameRet { hostname: "here".into() })
    }

    async fn connect_get_version(&self, _: &Call) -> error::Result<remote::ConnectGetVersionRet> {
        panic!("on purpose")
    }

    async fn connect_num_of_domains(&self, _: &Call) -> error::Result<remote::ConnectNumOfDomainsRet> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        self.go.notified().await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        Ok(remote::ConnectNumOfDomainsRet { num: 7 })
    }

    async fn domain_get_xml_desc(
        &self,
        _: &Call,
        args: remote::DomainGetXmlDescArgs,
    ) -> error::Result<remote::DomainGetXmlDescRet> {
        Ok(remote::DomainGetXmlDescRet { xml: args.dom.name })
    }

    async fn domain_lookup_by_name(
        &self,
        _: &Call,
        args: remote::DomainLookupByNameArgs,
    ) -> error::Result<remote::DomainLookupByNameRet> {
        Err(error::Error::new(Domain::Qemu, Code::NoDomain, args.name))
    }

    async fn domain_create_with_files(
        &self,
        call: &Call,
        _: remote::DomainCreateWithFilesArgs,
    ) -> error::Result<remote::DomainCreateWithFilesRet> {
        for fd in call.take_fds().into_iter().rev() {
            call.push_fd(fd);
        }
        Ok(remote::DomainCreateWithFilesRet::default())
    }
}

fn host() -> (Host, Arc<Driver>) {
    let driver = Arc::new(Driver::default());
    (Host::start("virtqemud", builder(driver.clone()).build(), Limits::default()), driver)
}

#[tokio::test]
async fn a_call_is_answered() {
    let (host, _) = host();
    let mut raw = Raw::open(host.path("virtqemud-sock")).await;
    let ret: remote::ConnectGetHostnameRet = raw.call(remote::proc::CONNECT_GET_HOSTNAME, &()).await.unwrap();
    assert_eq!(ret.hostname, "here");
    let ret: remote::ConnectGetTypeRet = raw.call(remote::proc::CONNECT_GET_TYPE, &()).await.unwrap();
    assert_eq!(ret.type_, "QEMU");
    let ret: remote::ConnectGetUriRet = raw.call(remote::proc::CONNECT_GET_URI, &()).await.unwrap();
    assert_eq!(ret.uri, "qemu:///system");
    let ret: remote::ConnectGetLibVersionRet = raw.call(remote::proc::CONNECT_GET_LIB_VERSION, &()).await.unwrap();
    assert_eq!(ret.lib_ver, 11_003_000);
}

#[tokio::test]
async fn what_is_unknown_is_refused() {
    let (host, _) = host();
    let mut raw = Raw::open(host.path("virtqemud-sock")).await;
    let mut header = raw.header(0x1234, 1);
    let error = raw.refused(header, &[]).await;
    assert_eq!((error.code(), error.domain), (Some(Code::Rpc), Domain::Rpc as i32));
    assert_eq!(error.message, "Cannot find program 4660 version 1");
    header = raw.header(REMOTE, 1);
    header.version = 9;
    assert_eq!(raw.refused(header, &[]).await.message, "Cannot find program 536903814 version 9");
    let event = remote::proc::DOMAIN_EVENT_LIFECYCLE;
    for number in [-1, 0, 9999, i32::MIN, i32::MAX, event] {
        let header = raw.header(REMOTE, number);
        let error = raw.refused(header, &[]).await;
        assert_eq!((error.code(), error.message), (Some(Code::Rpc), format!("unknown procedure: {number}")));
    }
    let header = raw.header(rpc::remote::LXC_PROGRAM, 1);
    assert_eq!(raw.refused(header, &[]).await.message, "unknown procedure: 1");
}

#[tokio::test]
async fn wrong_types_and_statuses_cost_nothing() {
    let (host, _) = host();
    let mut raw = Raw::open(host.path("virtqemud-sock")).await;
    let mut header = raw.header(REMOTE, remote::proc::CONNECT_GET_HOSTNAME);
    header.status = Status::Continue;
    assert_eq!(raw.refused(header, &[]).await.message, "Unexpected message status 2");
    let kinds = [MessageType::Reply, MessageType::Message, MessageType::Stream, MessageType::StreamHole];
    for kind in kinds.into_iter().chain([MessageType::Unknown(77)]) {
        for _ in 0..1000 {
            let mut header = raw.header(REMOTE, remote::proc::CONNECT_GET_HOSTNAME);
            header.kind = kind;
            raw.send(header, &[]).await;
        }
    }
    let ret: remote::ConnectGetHostnameRet = raw.call(remote::proc::CONNECT_GET_HOSTNAME, &()).await.unwrap();
    assert_eq!(ret.hostname, "here");
}

#[tokio::test]
async fn a_body_that_cannot_be_decoded_is_refused() {
    let (host, _) = host();
    let mut raw = Raw::open(host.path("virtqemud-sock")).await;
    let header = raw.header(REMOTE, remote::proc::DOMAIN_GET_XML_DESC);
    let error = raw.refused(header, &[0, 0, 0, 9, 1]).await;
    assert_eq!((error.code(), error.message.as_str()), (Some(Code::Rpc), "Unable to decode message payload"));
}

#[tokio::test]
async fn bad_lengths_close_only_their_connection() {
    let (host, _) = host();
    let mut other = Raw::open(host.path("virtqemud-sock")).await;
    for length in [0u32, 3, 27, 33_554_437, u32::MAX] {
        let mut raw = Raw::connect(host.path("virtqemud-sock")).await;
        raw.write(&length.to_be_bytes()).await;
        assert!(raw.receive().await.is_none(), "length {length}");
    }
    let _: remote::ConnectGetHostnameRet = other.call(remote::proc::CONNECT_GET_HOSTNAME, &()).await.unwrap();
}

#[tokio::test]
async fn the_largest_frame_is_taken() {
    let (host, _) = host();
    let mut raw = Raw::open(host.path("virtqemud-sock")).await;
    let header = raw.header(REMOTE, 9999);
    let error = raw.refused(header, &vec![0; 33_554_432 - 24]).await;
    assert_eq!(error.message, "unknown procedure: 9999");
}

#[tokio::test]
async fn calls_need_an_open_connection() {
    let (host, _) = host();
    let mut raw = Raw::connect(host.path("virtqemud-sock")).await;
    let header = raw.header(REMOTE, remote::proc::CONNECT_GET_HOSTNAME);
    let error = raw.refused(header, &[]).await;
    assert_eq!(error.message, "internal error: hypervisor connection not open");
    let ret: remote::ConnectSupportsFeatureRet = raw
        .call(remote::proc::CONNECT_SUPPORTS_FEATURE, &remote::ConnectSupportsFeatureArgs { feature: 10 })
        .await
        .unwrap();
    assert_eq!(ret.supported, 1);
    let error = raw.connect_open("lxc:///system", 0).await.unwrap_err();
    assert_eq!(error.message, "no connection driver available for lxc:///system");
    // the client's own bit for a session whose daemon it may start
    raw.connect_open("", 4).await.unwrap();
    let error = raw.connect_open("qemu:///system", 0).await.unwrap_err();
    assert_eq!(error.message, "internal error: connection already open");
    raw.connect_open("qemu:///system", 0).await.unwrap();
}

#[tokio::test]
async fn read_only_clients_may_only_look() {
    let (host, _) = host();
    for (socket, flags) in [("virtqemud-sock-ro", 0), ("virtqemud-sock", 1)] {
        let mut raw = Raw::connect(host.path(socket)).await;
        raw.connect_open("qemu:///system", flags).await.unwrap();
        let header = raw.header(REMOTE, remote::proc::DOMAIN_DEFINE_XML);
        let error = raw.refused(header, &[]).await;
        assert_eq!(error.code(), Some(Code::OperationDenied));
        assert_eq!(error.message, "operation forbidden: read only access prevents virDomainDefineXML");
        let dom = remote::NonnullDomain { name: "n".into(), ..Default::default() };
        let mut args = remote::DomainGetXmlDescArgs { dom, flags: 0 };
        let ret: remote::DomainGetXmlDescRet = raw.call(remote::proc::DOMAIN_GET_XML_DESC, &args).await.unwrap();
        assert_eq!(ret.xml, "n");
        args.flags = 1; // VIR_DOMAIN_XML_SECURE
        let result: error::Result<remote::DomainGetXmlDescRet> =
            raw.call(remote::proc::DOMAIN_GET_XML_DESC, &args).await;
        assert_eq!(result.unwrap_err().code(), Some(Code::OperationDenied));
    }
}

#[tokio::test]
async fn a_missing_entry_is_not_supported() {
    let (host, _) = host();
    let mut raw = Raw::open(host.path("virtqemud-sock")).await;
    let result: error::Result<()> = raw.call(remote::proc::CONNECT_GET_CAPABILITIES, &()).await;
    let error = result.unwrap_err();
    assert_eq!(error.message, "this function is not supported by the connection driver: virConnectGetCapabilities");
    // A class that nobody serves here.
    let result: error::Result<()> = raw.call(remote::proc::CONNECT_NUM_OF_NETWORKS, &()).await;
    assert_eq!(result.unwrap_err().code(), Some(Code::NoSupport));
}

#[tokio::test]
async fn a_panic_costs_one_call() {
    let (host, _) = host();
    let mut raw = Raw::open(host.path("virtqemud-sock")).await;
    let result: error::Result<()> = raw.call(remote::proc::CONNECT_GET_VERSION, &()).await;
    assert_eq!(result.unwrap_err().code(), Some(Code::InternalError));
    let _: remote::ConnectGetHostnameRet = raw.call(remote::proc::CONNECT_GET_HOSTNAME, &()).await.unwrap();
}

#[tokio::test]
async fn giant_names_in_errors_are_shortened() {
    let (host, _) = host();
    let mut raw = Raw::open(host.path("virtqemud-sock")).await;
    let args = remote::DomainLookupByNameArgs { name: "x".repeat(4_194_304) };
    let result: error::Result<()> = raw.call(remote::proc::DOMAIN_LOOKUP_BY_NAME, &args).await;
    let error = result.unwrap_err();
    assert_eq!(error.code(), Some(Code::NoDomain));
    assert!(error.message.len() <= 65536);
}

#[tokio::test]
async fn only_so_many_calls_run_at_once() {
    let (host, driver) = host();
    let mut raw = Raw::open(host.path("virtqemud-sock")).await;
    let mut serials = Vec::new();
    for _ in 0..200 {
        let header = raw.header(REMOTE, remote::proc::CONNECT_NUM_OF_DOMAINS);
        serials.push(header.serial);
        raw.send(header, &[]).await;
    }
    let mut answered = Vec::new();
    while answered.len() < 200 {
        driver.go.notify_one();
        answered.push(raw.receive().await.unwrap().header.serial);
    }
    answered.sort_unstable();
    assert_eq!(answered, serials);
    assert_eq!(driver.most.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn a_call_goes_on_without_its_client() {
    let (host, driver) = host();
    let mut raw = Raw::open(host.path("virtqemud-sock")).await;
    let header = raw.header(REMOTE, remote::proc::CONNECT_NUM_OF_DOMAINS);
    raw.send(header, &[]).await;
    while driver.running.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let client = host.server.clients().remove(0);
    let (closed_tx, closed_rx) = tokio::sync::oneshot::channel();
    client.on_close(move || closed_tx.send(()).unwrap());
    drop(raw);
    while !client.is_closed() {
        tokio::task::yield_now().await;
    }
    assert_eq!(driver.running.load(Ordering::SeqCst), 1);
    driver.go.notify_one();
    tokio::time::timeout(PATIENCE, closed_rx).await.unwrap().unwrap();
    assert_eq!(driver.running.load(Ordering::SeqCst), 0);
}

fn memory_file(name: &str) -> OwnedFd {
    host::descriptor::memory_file(name).unwrap().into()
}

fn name_of(fd: &OwnedFd) -> String {
    use std::os::fd::AsRawFd;
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap().to_string_lossy().into_owned()
}

#[tokio::test]
async fn descriptors_go_both_ways() {
    let (host, _) = host();
    let mut raw = Raw::open(host.path("virtqemud-sock")).await;
    let mut header = raw.header(REMOTE, remote::proc::DOMAIN_CREATE_WITH_FILES);
    header.kind = MessageType::CallWithFds;
    let mut body = xdr::to_vec(&2u32).unwrap();
    body.extend(xdr::to_vec(&remote::DomainCreateWithFilesArgs::default()).unwrap());
    raw.send(header, &body).await;
    for name in ["first", "second"] {
        raw.send_fd(&memory_file(name));
    }
    let reply = raw.receive().await.unwrap();
    assert_eq!(reply.header.kind, MessageType::ReplyWithFds);
    let names: Vec<String> = reply.fds.iter().map(name_of).collect();
    assert!(names[0].contains("second") && names[1].contains("first"), "{names:?}");
    // The same connection goes on.
    let _: remote::ConnectGetHostnameRet = raw.call(remote::proc::CONNECT_GET_HOSTNAME, &()).await.unwrap();
}

#[tokio::test]
async fn too_many_descriptors_close_the_connection() {
    let (host, _) = host();
    let mut raw = Raw::open(host.path("virtqemud-sock")).await;
    let mut header = raw.header(REMOTE, remote::proc::DOMAIN_CREATE_WITH_FILES);
    header.kind = MessageType::CallWithFds;
    raw.send(header, &xdr::to_vec(&33u32).unwrap()).await;
    assert!(raw.receive().await.is_none());
}

#[tokio::test]
async fn close_is_answered_before_the_end() {
    let (host, _) = host();
    let mut raw = Raw::open(host.path("virtqemud-sock")).await;
    let () = raw.call(remote::proc::CONNECT_CLOSE, &()).await.unwrap();
    assert!(raw.receive().await.is_none());
    let mut count = host.server.client_count();
    tokio::time::timeout(PATIENCE, count.wait_for(|count| *count == 0)).await.unwrap().unwrap();
}

#[tokio::test]
async fn half_frames_end_at_the_deadline() {
    let limits = Limits { progress_deadline: Duration::from_millis(50), ..Limits::default() };
    let host = Host::start("virtqemud", builder(Arc::new(Driver::default())).build(), limits);
    let mut idle = Raw::open(host.path("virtqemud-sock")).await;
    let mut raw = Raw::open(host.path("virtqemud-sock")).await;
    raw.write(&[0, 0, 0]).await;
    assert!(raw.receive().await.is_none());
    let _: remote::ConnectGetHostnameRet = idle.call(remote::proc::CONNECT_GET_HOSTNAME, &()).await.unwrap();
}

#[tokio::test]
async fn clients_beyond_the_limit_wait() {
    let limits = Limits { clients_max: 1, ..Limits::default() };
    let host = Host::start("virtqemud", builder(Arc::new(Driver::default())).build(), limits);
    let first = Raw::open(host.path("virtqemud-sock")).await;
    let mut second = Raw::connect(host.path("virtqemud-sock")).await;
    let args = remote::ConnectOpenArgs { name: None, flags: 0 };
    let header = second.header(REMOTE, remote::proc::CONNECT_OPEN);
    second.send(header, &xdr::to_vec(&args).unwrap()).await;
    // The listener of the other socket has its own turn, so at most one more is let in per listener.
    assert_eq!(host.server.clients().len(), 1);
    drop(first);
    let reply = second.receive().await.unwrap();
    assert_eq!(reply.header.status, Status::Ok);
}
