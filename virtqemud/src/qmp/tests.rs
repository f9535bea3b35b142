//! The client against a scripted peer.

use std::os::fd::OwnedFd;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::commands::{Cont, GetFd, QueryStatus};
use super::*;

const GREETING: &str =
    r#"{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": "x"}, "capabilities": ["oob"]}}"#;
const SHORT: Duration = Duration::from_millis(200);

/// The far end: reads requests, says what the test wants.
struct Peer {
    stream: BufReader<UnixStream>,
}

impl Peer {
    async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.write_all(b"\r\n").await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        serde_json::from_str(&line).unwrap_or(Value::Null)
    }

    async fn reply(&mut self, request: &Value, value: Value) {
        self.say(&json!({"return": value, "id": request["id"]}).to_string()).await;
    }
}

fn pair() -> (UnixStream, Peer) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (ours, Peer { stream: BufReader::new(theirs) })
}

async fn ready() -> (Monitor, EventReceiver, Peer) {
    let (ours, mut peer) = pair();
    let far = tokio::spawn(async move {
        peer.say(GREETING).await;
        let request = peer.hear().await;
        assert_eq!(request["execute"], "qmp_capabilities");
        peer.reply(&request, json!({})).await;
        peer
    });
    let (monitor, events) = Monitor::over(ours, SHORT).await.unwrap();
    (monitor, events, far.await.unwrap())
}

#[tokio::test]
async fn greeting_and_typed_reply() {
    let (monitor, _events, mut peer) = ready().await;
    assert_eq!(monitor.greeting().version.number(), 10_000_002);
    let far = tokio::spawn(async move {
        let request = peer.hear().await;
        assert_eq!(request, json!({"execute": "query-status", "id": "libvirt-2"}));
        peer.reply(&request, json!({"running": true, "status": "running", "later": 1})).await;
        peer
    });
    let status = monitor.execute(&QueryStatus {}).await.unwrap();
    assert_eq!(status.status, "running");
    far.await.unwrap();
}

#[tokio::test]
async fn replies_out_of_order_and_events_between() {
    let (monitor, mut events, mut peer) = ready().await;
    let other = monitor.clone();
    let first = tokio::spawn(async move { other.execute_raw("first", Value::Null, SHORT).await });
    let one = peer.hear().await;
    let other = monitor.clone();
    let second = tokio::spawn(async move { other.execute_raw("second", json!({"a": 1}), SHORT).await });
    let two = peer.hear().await;
    assert_eq!(two["arguments"]["a"], 1);
    peer.reply(&two, json!(2)).await;
    peer.say(r#"{"event": "STOP", "timestamp": {"seconds": 5, "microseconds": 6}}"#).await;
    peer.reply(&one, json!(1)).await;
    assert_eq!(first.await.unwrap().unwrap(), json!(1));
    assert_eq!(second.await.unwrap().unwrap(), json!(2));
    let event = events.recv().await.unwrap();
    assert_eq!((event.name.as_str(), event.timestamp.seconds), ("STOP", 5));
}

#[tokio::test]
async fn refused_command() {
    let (monitor, _events, mut peer) = ready().await;
    let far = tokio::spawn(async move {
        let request = peer.hear().await;
        peer.say(&json!({"error": {"class": "DeviceNotFound", "desc": "no"}, "id": request["id"]}).to_string()).await;
        peer
    });
    let error = monitor.execute(&Cont {}).await.unwrap_err();
    assert!(error.is_class("DeviceNotFound"));
    assert_eq!(error.to_string(), "unable to execute QEMU command 'cont': no");
    far.await.unwrap();
}

#[tokio::test]
async fn slow_reply_times_out_and_its_late_answer_is_harmless() {
    let (monitor, _events, mut peer) = ready().await;
    let error = monitor.execute_within(&Cont {}, Duration::from_millis(20)).await.unwrap_err();
    assert!(matches!(error, QmpError::Timeout { .. }));
    let late = peer.hear().await;
    peer.reply(&late, json!({})).await;
    let far = tokio::spawn(async move {
        let request = peer.hear().await;
        peer.reply(&request, json!({})).await;
        peer
    });
    monitor.execute(&Cont {}).await.unwrap();
    far.await.unwrap();
}

/// The peer says `text` instead of a reply: the call and all later ones fail with a reason that has `reason` in it.
async fn misbehaves(text: &[u8], reason: &str) {
    let (monitor, mut events, mut peer) = ready().await;
    let waiting = monitor.clone();
    let call = tokio::spawn(async move { waiting.execute_within(&Cont {}, Duration::from_secs(20)).await });
    peer.hear().await;
    let _ = peer.stream.write_all(text).await;
    let error = call.await.unwrap().unwrap_err();
    assert!(error.is_closed() && error.to_string().contains(reason), "{error}");
    assert!(monitor.execute(&Cont {}).await.unwrap_err().is_closed());
    assert!(monitor.closed().is_some());
    assert!(events.recv().await.is_none());
}

#[tokio::test]
async fn hostile_lines() {
    misbehaves(b"{\"return\": \n", "malformed JSON").await;
    misbehaves(b"{\"return\": {}, \"id\": \"libvirt-999\"}\n", "nobody waits").await;
    misbehaves(b"{\"return\": {}, \"id\": \"other\"}\n", "foreign id").await;
    misbehaves(b"{\"return\": {}}\n", "without an id").await;
    misbehaves(b"{\"return\": \"\xff\xfe\", \"id\": \"libvirt-2\"}\n", "malformed JSON").await;
    misbehaves(b"{\0}\n", "malformed JSON").await;
    misbehaves(b"[]\n", "not a JSON object").await;
    misbehaves(format!("{GREETING}\n").as_bytes(), "second greeting").await;
    misbehaves(&[b"[".repeat(1_000_000), b"\n".to_vec()].concat(), "malformed JSON").await;
    misbehaves(&b" ".repeat(LINE_MAX + 65536), "longer than").await;
}

#[tokio::test]
async fn death_wakes_every_waiter() {
    let (monitor, mut events, mut peer) = ready().await;
    let calls: Vec<_> = (0..5)
        .map(|_| {
            let monitor = monitor.clone();
            tokio::spawn(async move { monitor.execute(&Cont {}).await })
        })
        .collect();
    for _ in 0..5 {
        peer.hear().await;
    }
    drop(peer);
    for call in calls {
        assert!(call.await.unwrap().unwrap_err().to_string().contains("End of file"));
    }
    assert!(events.recv().await.is_none());
}

#[tokio::test]
async fn no_greeting() {
    let (ours, _peer) = pair();
    let error = Monitor::over(ours, Duration::from_millis(20)).await.err().unwrap();
    assert!(matches!(error, QmpError::Connect(_)), "{error}");
    let (ours, mut peer) = pair();
    peer.say(r#"{"event": "STOP"}"#).await;
    let error = Monitor::over(ours, SHORT).await.err().unwrap();
    assert!(error.to_string().contains("before the greeting"), "{error}");
}

#[tokio::test]
async fn silent_after_greeting() {
    let (ours, mut peer) = pair();
    peer.say(GREETING).await;
    assert!(matches!(Monitor::over(ours, Duration::from_millis(20)).await, Err(QmpError::Timeout { .. })));
}

#[tokio::test]
async fn event_flood_is_bounded_and_counted() {
    let (monitor, mut events, mut peer) = ready().await;
    for _ in 0..3000 {
        peer.say(r#"{"event": "RTC_CHANGE", "data": {"offset": 1}}"#).await;
    }
    let far = tokio::spawn(async move {
        let request = peer.hear().await;
        peer.reply(&request, json!({})).await;
        peer
    });
    monitor.execute(&Cont {}).await.unwrap();
    let mut kept = 0;
    while let Ok(event) = events.try_recv() {
        assert_eq!(event.lost, 0);
        kept += 1;
    }
    let mut peer = far.await.unwrap();
    peer.say(r#"{"event": "STOP"}"#).await;
    let event = events.recv().await.unwrap();
    assert_eq!(event.lost + kept, 3000);
}

#[tokio::test]
async fn descriptor_travels_with_its_command() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let theirs = theirs.into_std().unwrap();
    theirs.set_nonblocking(false).unwrap();
    let far = std::thread::spawn(move || {
        use std::io::{Read, Write};
        use std::os::fd::AsRawFd;
        (&theirs).write_all(format!("{GREETING}\n").as_bytes()).unwrap();
        let mut byte = [0; 512];
        let _ = (&theirs).read(&mut byte).unwrap();
        (&theirs).write_all(b"{\"return\": {}, \"id\": \"libvirt-1\"}\n").unwrap();
        let mut space = nix::cmsg_space!([std::os::fd::RawFd; 2]);
        let mut buffer = [std::io::IoSliceMut::new(&mut byte)];
        let received = nix::sys::socket::recvmsg::<()>(
            theirs.as_raw_fd(),
            &mut buffer,
            Some(&mut space),
            nix::sys::socket::MsgFlags::empty(),
        )
        .unwrap();
        let count = received.cmsgs().unwrap().count();
        (&theirs).write_all(b"{\"return\": {}, \"id\": \"libvirt-2\"}\n").unwrap();
        count
    });
    let (monitor, _events) = Monitor::over(ours, SHORT).await.unwrap();
    let null: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
    monitor.send_fd("fd0", null).await.unwrap();
    assert_eq!(far.join().unwrap(), 1);
    assert_eq!(GetFd::NAME, "getfd");
}

#[tokio::test]
async fn last_handle_closes_the_connection() {
    let (monitor, _events, mut peer) = ready().await;
    drop(monitor);
    let mut rest = Vec::new();
    peer.stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
}
