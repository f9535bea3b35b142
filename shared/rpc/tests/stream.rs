//! Data streams, events and keepalive, seen from a raw socket.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use bytes::Bytes;
use protocol::{Class, keepalive, remote};
use rpc::frame::{Header, MessageType, Packet, Status, decode_error};
use rpc::{Call, Limits, RemoteProgram, StreamItem};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{Host, PATIENCE, REMOTE, Raw, config};
use tokio::sync::mpsc;

/// Length of a download.
const DOWNLOAD: usize = 1_000_000;

struct Storage {
    seen: mpsc::UnboundedSender<StreamItem>,
    hold: bool,
    client: Mutex<Option<Arc<rpc::Client>>>,
}

impl remote::Storage<Call> for Storage {
    async fn storage_vol_upload(&self, call: &Call, _: remote::StorageVolUploadArgs) -> error::Result<()> {
        let stream = call.open_stream();
        let (seen, hold) = (self.seen.clone(), self.hold);
        tokio::spawn(async move {
            if hold {
                // A target that blocks.
                std::future::pending::<()>().await;
            }
            while let Some(item) = stream.recv().await {
                let last = item == StreamItem::Finish;
                seen.send(item).unwrap();
                if last {
                    return stream.finish().await;
                }
            }
        });
        Ok(())
    }

    async fn storage_vol_download(&self, call: &Call, args: remote::StorageVolDownloadArgs) -> error::Result<()> {
        let stream = call.open_stream();
        tokio::spawn(async move {
            if args.length == 1 {
                let error = error::Error::new(error::Domain::Storage, error::Code::OperationFailed, "disk on fire");
                return stream.fail(error).await;
            }
            let sent = stream.send(Bytes::from(vec![7; DOWNLOAD])).await;
            if sent.is_ok() && args.flags == 1 {
                stream.send_hole(4096).await.unwrap();
            }
            stream.finish().await;
        });
        Ok(())
    }

    async fn connect_num_of_storage_pools(&self, call: &Call) -> error::Result<remote::ConnectNumOfStoragePoolsRet> {
        *self.client.lock().unwrap() = Some(call.client().clone());
        Ok(remote::ConnectNumOfStoragePoolsRet { num: 1 })
    }
}

struct Fixture {
    host: Host,
    seen: mpsc::UnboundedReceiver<StreamItem>,
    storage: Arc<Storage>,
}

fn fixture(hold: bool, limits: Limits) -> Fixture {
    let (seen_tx, seen) = mpsc::unbounded_channel();
    let storage = Arc::new(Storage { seen: seen_tx, hold, client: Mutex::default() });
    let service = storage.clone();
    let programs = RemoteProgram::builder(config())
        .serve(Class::Storage, move |call, number, payload| {
            remote::dispatch_storage(service.clone(), call, number, payload)
        })
        .build();
    Fixture { host: Host::start("d", programs, limits), seen, storage }
}

async fn begin(raw: &mut Raw, procedure: i32, args: &impl xdr::Encode) -> Header {
    let header = raw.header(REMOTE, procedure);
    raw.send(header, &xdr::to_vec(args).unwrap()).await;
    let reply = raw.receive().await.unwrap();
    assert_eq!((reply.header.kind, reply.header.status), (MessageType::Reply, Status::Ok));
    header
}

fn upload(flags: u32) -> remote::StorageVolUploadArgs {
    remote::StorageVolUploadArgs { flags, ..Default::default() }
}

#[tokio::test]
async fn an_upload_is_confirmed() {
    let mut fixture = fixture(false, Limits::default());
    let mut raw = Raw::open(fixture.host.path("d-sock")).await;
    let call = begin(&mut raw, remote::proc::STORAGE_VOL_UPLOAD, &upload(0)).await;
    let data = vec![3u8; 5_000_000];
    raw.send(call.answer(MessageType::Stream, Status::Continue), &data).await;
    raw.send(call.answer(MessageType::Stream, Status::Continue), b"end").await;
    raw.send(call.answer(MessageType::Stream, Status::Ok), &[]).await;
    let answer = raw.receive().await.unwrap();
    assert_eq!(answer.header, call.answer(MessageType::Stream, Status::Ok));
    assert_eq!(fixture.seen.recv().await.unwrap(), StreamItem::Data(data.into()));
    assert_eq!(fixture.seen.recv().await.unwrap(), StreamItem::Data(Bytes::from_static(b"end")));
    assert_eq!(fixture.seen.recv().await.unwrap(), StreamItem::Finish);
    // Packets behind the end are dropped.
    raw.send(call.answer(MessageType::Stream, Status::Continue), b"late").await;
    let _: remote::ConnectNumOfStoragePoolsRet =
        raw.call(remote::proc::CONNECT_NUM_OF_STORAGE_POOLS, &()).await.unwrap();
}

#[tokio::test]
async fn an_abort_is_answered() {
    let mut fixture = fixture(false, Limits::default());
    let mut raw = Raw::open(fixture.host.path("d-sock")).await;
    let call = begin(&mut raw, remote::proc::STORAGE_VOL_UPLOAD, &upload(0)).await;
    raw.send(call.answer(MessageType::Stream, Status::Error), &[]).await;
    assert_eq!(raw.receive().await.unwrap().header, call.answer(MessageType::Stream, Status::Ok));
    assert_eq!(fixture.seen.recv().await.unwrap(), StreamItem::Abort);
}

#[tokio::test]
async fn holes_need_the_flag() {
    let mut fixture = fixture(false, Limits::default());
    let hole = xdr::to_vec(&protocol::net::StreamHole { length: 9000, flags: 0 }).unwrap();
    let mut raw = Raw::open(fixture.host.path("d-sock")).await;
    let call = begin(&mut raw, remote::proc::STORAGE_VOL_UPLOAD, &upload(1)).await;
    raw.send(call.answer(MessageType::StreamHole, Status::Continue), &hole).await;
    assert_eq!(fixture.seen.recv().await.unwrap(), StreamItem::Hole(9000));
    let mut raw = Raw::open(fixture.host.path("d-sock")).await;
    let call = begin(&mut raw, remote::proc::STORAGE_VOL_UPLOAD, &upload(0)).await;
    raw.send(call.answer(MessageType::StreamHole, Status::Continue), &hole).await;
    assert!(raw.receive().await.is_none());
}

#[tokio::test]
async fn a_download_comes_in_chunks_and_ends() {
    let fixture = fixture(false, Limits::default());
    let mut raw = Raw::open(fixture.host.path("d-sock")).await;
    let args = remote::StorageVolDownloadArgs { flags: 1, ..Default::default() };
    let call = begin(&mut raw, remote::proc::STORAGE_VOL_DOWNLOAD, &args).await;
    let mut received = 0;
    while received < DOWNLOAD {
        let packet = raw.receive().await.unwrap();
        assert_eq!(packet.header, call.answer(MessageType::Stream, Status::Continue));
        assert!(packet.payload().len() <= rpc::stream::CHUNK_MAX);
        received += packet.payload().len();
    }
    let hole = raw.receive().await.unwrap();
    assert_eq!(hole.header.kind, MessageType::StreamHole);
    let end = raw.receive().await.unwrap();
    assert_eq!((end.header.status, end.payload().len()), (Status::Continue, 0));
    raw.send(call.answer(MessageType::Stream, Status::Ok), &[]).await;
    assert_eq!(raw.receive().await.unwrap().header, call.answer(MessageType::Stream, Status::Ok));
}

#[tokio::test]
async fn a_failing_stream_sends_one_error() {
    let fixture = fixture(false, Limits::default());
    let mut raw = Raw::open(fixture.host.path("d-sock")).await;
    let args = remote::StorageVolDownloadArgs { length: 1, ..Default::default() };
    let call = begin(&mut raw, remote::proc::STORAGE_VOL_DOWNLOAD, &args).await;
    let packet = raw.receive().await.unwrap();
    assert_eq!(packet.header, call.answer(MessageType::Stream, Status::Error));
    assert_eq!(decode_error(packet.payload()).unwrap().message, "operation failed: disk on fire");
}

#[tokio::test]
async fn a_blocked_target_stops_the_client() {
    let fixture = fixture(true, Limits::default());
    let mut raw = Raw::open(fixture.host.path("d-sock")).await;
    let call = begin(&mut raw, remote::proc::STORAGE_VOL_UPLOAD, &upload(0)).await;
    let packet = Packet::with_body(call.answer(MessageType::Stream, Status::Continue), vec![1; 65536].into());
    let packet = [&packet.head[..], &packet.body[..]].concat();
    let flood = async {
        let mut sent = 0;
        loop {
            raw.socket.writable().await.unwrap();
            match raw.socket.try_write(&packet[sent % packet.len()..]) {
                Ok(count) => sent += count,
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
            assert!(sent < 16 * 1024 * 1024, "the server takes all");
        }
    };
    assert!(tokio::time::timeout(Duration::from_millis(300), flood).await.is_err());
    // Another client is served meanwhile.
    let mut other = Raw::open(fixture.host.path("d-sock")).await;
    let _: remote::ConnectNumOfStoragePoolsRet =
        other.call(remote::proc::CONNECT_NUM_OF_STORAGE_POOLS, &()).await.unwrap();
}

#[tokio::test]
async fn events_that_nobody_reads_end_the_connection() {
    let fixture = fixture(false, Limits::default());
    let mut raw = Raw::open(fixture.host.path("d-sock")).await;
    let _: remote::ConnectNumOfStoragePoolsRet =
        raw.call(remote::proc::CONNECT_NUM_OF_STORAGE_POOLS, &()).await.unwrap();
    let client = fixture.storage.client.lock().unwrap().take().unwrap();
    let pool = remote::NonnullStoragePool { name: "p".repeat(1000), ..Default::default() };
    let event = remote::StoragePoolEventRefreshMsg { callback_id: 5, pool };
    client.send_event(REMOTE, remote::proc::STORAGE_POOL_EVENT_REFRESH, &event);
    let frame = raw.receive().await.unwrap();
    assert_eq!((frame.header.kind, frame.header.serial), (MessageType::Message, 1));
    assert_eq!(xdr::from_slice::<remote::StoragePoolEventRefreshMsg>(frame.payload()).unwrap(), event);
    for _ in 0..20_000 {
        client.send_event(REMOTE, remote::proc::STORAGE_POOL_EVENT_REFRESH, &event);
    }
    assert!(client.is_closed());
}

fn asking(interval_ms: u64) -> Limits {
    Limits { keepalive_interval: Duration::from_millis(interval_ms), keepalive_count: 3, ..Limits::default() }
}

async fn ask_for_keepalive(raw: &mut Raw) {
    let args = remote::ConnectSupportsFeatureArgs { feature: 10 };
    let _: remote::ConnectSupportsFeatureRet = raw.call(remote::proc::CONNECT_SUPPORTS_FEATURE, &args).await.unwrap();
}

#[tokio::test]
async fn a_silent_client_is_asked_and_closed() {
    let fixture = fixture(false, asking(20));
    let mut raw = Raw::connect(fixture.host.path("d-sock")).await;
    ask_for_keepalive(&mut raw).await;
    for _ in 0..3 {
        let ping = raw.receive().await.unwrap().header;
        assert_eq!((ping.program, ping.procedure, ping.serial), (keepalive::PROGRAM, keepalive::proc::PING, 0));
    }
    assert!(raw.receive().await.is_none());
}

#[tokio::test]
async fn an_answering_client_stays_and_one_that_never_asked_is_left_alone() {
    let fixture = fixture(false, asking(20));
    let mut quiet = Raw::connect(fixture.host.path("d-sock")).await;
    let mut raw = Raw::connect(fixture.host.path("d-sock")).await;
    ask_for_keepalive(&mut raw).await;
    for _ in 0..10 {
        let mut pong = raw.receive().await.unwrap().header;
        pong.procedure = keepalive::proc::PONG;
        raw.send(pong, &[]).await;
    }
    assert!(tokio::time::timeout(Duration::from_millis(100), quiet.receive()).await.is_err());
}

#[tokio::test]
async fn pings_are_answered() {
    let fixture = fixture(false, Limits::default());
    let mut raw = Raw::connect(fixture.host.path("d-sock")).await;
    let mut ping = raw.header(keepalive::PROGRAM, keepalive::proc::PING);
    (ping.kind, ping.serial) = (MessageType::Message, 0);
    raw.send(ping, &[]).await;
    let pong = tokio::time::timeout(PATIENCE, raw.receive()).await.unwrap().unwrap();
    assert_eq!(pong.header, Header { procedure: keepalive::proc::PONG, ..ping });
}
