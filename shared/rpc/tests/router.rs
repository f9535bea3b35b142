//! Calls relayed to sibling daemons: present, absent, dying, restarted.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use bytes::Bytes;
use error::Code;
use protocol::{Class, remote};
use rpc::frame::{Header, MessageType, Status, decode_error};
use rpc::router::Patience;
use rpc::{Call, Client, ClientConnection, Limits, RemoteConfig, RemoteProgram, Router, Server, StreamItem};
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{PATIENCE, REMOTE, Raw, config, serve};
use tokio::sync::Notify;

/// A network daemon: callback ids start where the test says.
#[derive(Default)]
struct Network {
    next_callback: AtomicI32,
    listeners: Mutex<Vec<(i32, Arc<Client>)>>,
    users: Mutex<Vec<Option<u32>>>,
    stuck: AtomicUsize,
    go: Notify,
}

impl Network {
    fn send(&self) {
        for (callback_id, client) in self.listeners.lock().unwrap().iter() {
            let message =
                remote::NetworkEventLifecycleMsg { callback_id: *callback_id, event: 3, ..Default::default() };
            client.send_event(REMOTE, remote::proc::NETWORK_EVENT_LIFECYCLE, &message);
        }
    }

    async fn wait_for_listener(&self) {
        let registered = async {
            while self.listeners.lock().unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, registered).await.expect("the registration is repeated");
    }
}

impl remote::Network<Call> for Network {
    async fn connect_num_of_networks(&self, call: &Call) -> error::Result<remote::ConnectNumOfNetworksRet> {
        self.users.lock().unwrap().push(call.client().identity().user_id());
        Ok(remote::ConnectNumOfNetworksRet { num: if call.client().read_only() { -1 } else { 4 } })
    }

    async fn connect_num_of_defined_networks(&self, _: &Call) -> error::Result<remote::ConnectNumOfDefinedNetworksRet> {
        self.stuck.fetch_add(1, Ordering::SeqCst);
        self.go.notified().await;
        Ok(remote::ConnectNumOfDefinedNetworksRet { num: 9 })
    }

    async fn connect_network_event_register_any(
        &self,
        call: &Call,
        _: remote::ConnectNetworkEventRegisterAnyArgs,
    ) -> error::Result<remote::ConnectNetworkEventRegisterAnyRet> {
        let callback_id = self.next_callback.fetch_add(1, Ordering::SeqCst);
        self.listeners.lock().unwrap().push((callback_id, call.client().clone()));
        Ok(remote::ConnectNetworkEventRegisterAnyRet { callback_id })
    }

    async fn connect_network_event_deregister_any(
        &self,
        _: &Call,
        args: remote::ConnectNetworkEventDeregisterAnyArgs,
    ) -> error::Result<()> {
        let mut listeners = self.listeners.lock().unwrap();
        let before = listeners.len();
        listeners.retain(|(id, _)| *id != args.callback_id);
        assert_eq!(listeners.len() + 1, before, "deregistered by our own id");
        Ok(())
    }
}

struct Storage;

impl remote::Storage<Call> for Storage {
    async fn storage_vol_upload(&self, call: &Call, _: remote::StorageVolUploadArgs) -> error::Result<()> {
        let stream = call.open_stream();
        tokio::spawn(async move {
            let mut total = 0;
            while let Some(item) = stream.recv().await {
                match item {
                    StreamItem::Data(bytes) => total += bytes.len(),
                    StreamItem::Finish => break,
                    _ => return,
                }
            }
            // The sum goes back on the stream, so that both directions are seen.
            stream.send(Bytes::from(total.to_string())).await.unwrap();
            stream.finish().await;
        });
        Ok(())
    }
}

fn sibling_config(scheme: &'static str) -> RemoteConfig {
    RemoteConfig { driver: scheme, scheme, session_when_privileged: false, ..config() }
}

fn network(directory: &Path, first_callback: i32) -> (Server, Arc<Network>) {
    let network = Arc::new(Network { next_callback: first_callback.into(), ..Network::default() });
    let service = network.clone();
    let programs = RemoteProgram::builder(sibling_config("network"))
        .serve(Class::Network, move |call, number, payload| {
            remote::dispatch_network(service.clone(), call, number, payload)
        })
        .build();
    (serve(directory, "virtnetworkd", programs, Limits::default()), network)
}

fn storage(directory: &Path) -> Server {
    let service = Arc::new(Storage);
    let programs = RemoteProgram::builder(sibling_config("storage"))
        .serve(Class::Storage, move |call, number, payload| {
            remote::dispatch_storage(service.clone(), call, number, payload)
        })
        .build();
    serve(directory, "virtstoraged", programs, Limits::default())
}

/// A hypervisor daemon that routes everything.
fn hypervisor(directory: &Path) -> Server {
    let programs = RemoteProgram::builder(config()).router(Arc::new(Router::new(directory, true))).build();
    serve(directory, "virtqemud", programs, Limits::default())
}

fn crash(server: &Server) {
    for client in server.clients() {
        client.close();
    }
}

async fn networks(raw: &mut Raw) -> error::Result<i32> {
    let ret: remote::ConnectNumOfNetworksRet = raw.call(remote::proc::CONNECT_NUM_OF_NETWORKS, &()).await?;
    Ok(ret.num)
}

#[tokio::test]
async fn an_absent_sibling_is_not_supported() {
    let directory = tempfile::tempdir().unwrap();
    let _server = hypervisor(directory.path());
    let mut raw = Raw::connect(directory.path().join("virtqemud-sock")).await;
    let header = raw.header(REMOTE, remote::proc::CONNECT_NUM_OF_NETWORKS);
    assert_eq!(raw.refused(header, &[]).await.message, "internal error: connection not open");
    raw.connect_open("qemu:///system", 0).await.unwrap();
    let error = networks(&mut raw).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::NoSupport));
    assert!(error.message.ends_with("connection driver: virConnectNumOfNetworks"), "{}", error.message);
    // It may come later.
    let _sibling = network(directory.path(), 0);
    assert_eq!(networks(&mut raw).await.unwrap(), 4);
}

#[tokio::test]
async fn calls_go_under_the_callers_identity() {
    let directory = tempfile::tempdir().unwrap();
    let _server = hypervisor(directory.path());
    let (_sibling, service) = network(directory.path(), 0);
    let mut raw = Raw::open(directory.path().join("virtqemud-sock")).await;
    let params = vec![remote::TypedParam::ullong("unix-user-id", 4711)];
    let args = remote::ConnectSetIdentityArgs { params, flags: 0 };
    let () = raw.call(remote::proc::CONNECT_SET_IDENTITY, &args).await.unwrap();
    assert_eq!(networks(&mut raw).await.unwrap(), 4);
    assert_eq!(*service.users.lock().unwrap(), [Some(4711)]);
    let mut looking = Raw::open(directory.path().join("virtqemud-sock-ro")).await;
    assert_eq!(networks(&mut looking).await.unwrap(), -1, "read-only stays read-only");
}

#[tokio::test]
async fn a_dying_sibling_costs_its_pending_calls() {
    let directory = tempfile::tempdir().unwrap();
    let _server = hypervisor(directory.path());
    let (sibling, service) = network(directory.path(), 0);
    let mut raw = Raw::open(directory.path().join("virtqemud-sock")).await;
    let header = raw.header(REMOTE, remote::proc::CONNECT_NUM_OF_DEFINED_NETWORKS);
    raw.send(header, &[]).await;
    while service.stuck.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    crash(&sibling);
    let reply = raw.receive().await.unwrap();
    assert_eq!((reply.header.serial, reply.header.status), (header.serial, Status::Error));
    assert_eq!(decode_error(reply.payload()).unwrap().code(), Some(Code::OperationFailed));
    assert_eq!(networks(&mut raw).await.unwrap(), 4, "the next call opens it again");
    service.go.notify_one();
}

#[tokio::test]
async fn a_hung_sibling_costs_its_class_and_a_slow_one_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let patience = Patience { interval: Duration::from_millis(30), count: 3 };
    let router = Router::new(directory.path(), true).patience(patience);
    let programs = RemoteProgram::builder(config()).router(Arc::new(router)).build();
    let _server = serve(directory.path(), "virtqemud", programs, Limits::default());
    let (_network, service) = network(directory.path(), 0);
    let mut raw = Raw::open(directory.path().join("virtqemud-sock")).await;
    // Its call takes ten times longer than the patience, but it answers the questions.
    let slow = raw.header(REMOTE, remote::proc::CONNECT_NUM_OF_DEFINED_NETWORKS);
    raw.send(slow, &[]).await;
    // This one accepts and never says a word.
    let mute = std::os::unix::net::UnixListener::bind(directory.path().join("virtstoraged-sock")).unwrap();
    let hung = raw.header(REMOTE, remote::proc::CONNECT_NUM_OF_STORAGE_POOLS);
    raw.send(hung, &[]).await;
    assert_eq!(networks(&mut raw).await.unwrap(), 4, "the other classes go on");
    let failure = raw.receive().await.unwrap();
    assert_eq!((failure.header.serial, failure.header.status), (hung.serial, Status::Error));
    tokio::time::sleep(10 * patience.interval).await;
    service.go.notify_one();
    let reply = raw.receive().await.unwrap();
    assert_eq!((reply.header.serial, reply.header.status), (slow.serial, Status::Ok));
    drop(mute);
}

#[tokio::test]
async fn registrations_survive_the_siblings_restart() {
    let directory = tempfile::tempdir().unwrap();
    let _server = hypervisor(directory.path());
    let (first, service) = network(directory.path(), 10);
    let mut raw = Raw::open(directory.path().join("virtqemud-sock")).await;
    let args = remote::ConnectNetworkEventRegisterAnyArgs::default();
    let ret: remote::ConnectNetworkEventRegisterAnyRet =
        raw.call(remote::proc::CONNECT_NETWORK_EVENT_REGISTER_ANY, &args).await.unwrap();
    assert_eq!(ret.callback_id, 10);
    service.send();
    assert_eq!(raw.receive().await.unwrap().first_word(), Some(10));

    // The new process counts anew; the client does nothing and still hears, under the id it knows.
    let (_second, service) = network(directory.path(), 77);
    crash(&first);
    service.wait_for_listener().await;
    service.send();
    let event = raw.receive().await.unwrap();
    assert_eq!((event.header.kind, event.first_word()), (MessageType::Message, Some(10)));

    // A second registration gets an id that is free on both sides, and both are removed by the client's ids.
    let ret: remote::ConnectNetworkEventRegisterAnyRet =
        raw.call(remote::proc::CONNECT_NETWORK_EVENT_REGISTER_ANY, &args).await.unwrap();
    assert_eq!(ret.callback_id, 78);
    for callback_id in [10, 78] {
        let args = remote::ConnectNetworkEventDeregisterAnyArgs { callback_id };
        let () = raw.call(remote::proc::CONNECT_NETWORK_EVENT_DEREGISTER_ANY, &args).await.unwrap();
    }
    assert!(service.listeners.lock().unwrap().is_empty());
}

async fn begin_upload(raw: &mut Raw) -> Header {
    let call = raw.header(REMOTE, remote::proc::STORAGE_VOL_UPLOAD);
    raw.send(call, &xdr::to_vec(&remote::StorageVolUploadArgs::default()).unwrap()).await;
    assert_eq!(raw.receive().await.unwrap().header, call.answer(MessageType::Reply, Status::Ok));
    call
}

#[tokio::test]
async fn streams_go_through() {
    let directory = tempfile::tempdir().unwrap();
    let _server = hypervisor(directory.path());
    let sibling = storage(directory.path());
    let mut raw = Raw::open(directory.path().join("virtqemud-sock")).await;
    let call = begin_upload(&mut raw).await;
    for _ in 0..20 {
        raw.send(call.answer(MessageType::Stream, Status::Continue), &vec![1; 500_000]).await;
    }
    raw.send(call.answer(MessageType::Stream, Status::Ok), &[]).await;
    let sum = raw.receive().await.unwrap();
    assert_eq!(sum.header, call.answer(MessageType::Stream, Status::Continue));
    assert_eq!(sum.payload(), b"10000000");
    assert_eq!(raw.receive().await.unwrap().header, call.answer(MessageType::Stream, Status::Ok));

    let call = begin_upload(&mut raw).await;
    crash(&sibling);
    let failure = raw.receive().await.unwrap();
    assert_eq!(failure.header, call.answer(MessageType::Stream, Status::Error));
    begin_upload(&mut raw).await;
}

#[tokio::test]
async fn upstream_connections_end_with_their_client() {
    let directory = tempfile::tempdir().unwrap();
    let _server = hypervisor(directory.path());
    let (sibling, _) = network(directory.path(), 0);
    let mut raw = Raw::open(directory.path().join("virtqemud-sock")).await;
    networks(&mut raw).await.unwrap();
    let mut count = sibling.client_count();
    assert_eq!(*count.borrow(), 1);
    drop(raw);
    tokio::time::timeout(PATIENCE, count.wait_for(|count| *count == 0)).await.unwrap().unwrap();
}

#[tokio::test]
async fn typed_calls_run_in_parallel() {
    let directory = tempfile::tempdir().unwrap();
    let (sibling, service) = network(directory.path(), 0);
    let (event_tx, mut event_rx) = tokio::sync::mpsc::unbounded_channel();
    let path = directory.path().join("virtnetworkd-sock");
    let connection = ClientConnection::connect_with_events(&path, move |program, number, body| {
        event_tx.send((program, number, body)).unwrap();
    })
    .await
    .unwrap();
    connection.open("network:///system", 0).await.unwrap();
    let slow = {
        let connection = connection.clone();
        tokio::spawn(async move {
            connection
                .call::<(), remote::ConnectNumOfDefinedNetworksRet>(
                    REMOTE,
                    remote::proc::CONNECT_NUM_OF_DEFINED_NETWORKS,
                    &(),
                )
                .await
        })
    };
    let fast: remote::ConnectNumOfNetworksRet =
        connection.call(REMOTE, remote::proc::CONNECT_NUM_OF_NETWORKS, &()).await.unwrap();
    assert_eq!(fast.num, 4);
    while service.stuck.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    service.go.notify_one();
    assert_eq!(slow.await.unwrap().unwrap().num, 9);
    let args = remote::ConnectNetworkEventRegisterAnyArgs::default();
    let _: remote::ConnectNetworkEventRegisterAnyRet =
        connection.call(REMOTE, remote::proc::CONNECT_NETWORK_EVENT_REGISTER_ANY, &args).await.unwrap();
    service.send();
    assert_eq!(event_rx.recv().await.unwrap().1, remote::proc::NETWORK_EVENT_LIFECYCLE);
    crash(&sibling);
    tokio::time::timeout(PATIENCE, connection.closed()).await.unwrap();
    let late = connection.call::<(), ()>(REMOTE, remote::proc::CONNECT_NUM_OF_NETWORKS, &()).await;
    assert_eq!(late.unwrap_err().code(), Some(Code::OperationFailed));
    let nobody = ClientConnection::connect(&directory.path().join("nobody")).await.err().unwrap();
    assert_eq!((nobody.code(), nobody.int1), (Some(Code::SystemError), 2));
}

#[tokio::test]
async fn a_thread_without_runtime_can_call() {
    let directory = tempfile::tempdir().unwrap();
    let _sibling = network(directory.path(), 0);
    let path = directory.path().join("virtnetworkd-sock");
    let thread = std::thread::spawn(move || {
        let mut connection = rpc::blocking::BlockingConnection::connect(&path).unwrap();
        let args = remote::ConnectOpenArgs { name: Some("network:///system".into()), flags: 0 };
        let () = connection.call(REMOTE, remote::proc::CONNECT_OPEN, &args).unwrap();
        let ret: remote::ConnectNumOfNetworksRet =
            connection.call(REMOTE, remote::proc::CONNECT_NUM_OF_NETWORKS, &()).unwrap();
        assert_eq!(ret.num, 4);
        let failed = connection.call::<(), ()>(REMOTE, 9999, &()).unwrap_err();
        assert_eq!(failed.message, "unknown procedure: 9999");
    });
    let joined = tokio::task::spawn_blocking(move || thread.join());
    tokio::time::timeout(PATIENCE, joined).await.unwrap().unwrap().unwrap();
}
