//! The tables hold together, and decoders survive any bytes.

use proptest::prelude::*;
use protocol::{Class, Kind, Procedure, ReadOnly, admin, decode, keepalive, lock, log, qemu, remote, reply};

fn programs() -> [(&'static str, &'static [Procedure], usize); 6] {
    [
        ("remote", remote::PROCEDURES, 453),
        ("qemu", qemu::PROCEDURES, 7),
        ("lock", lock::PROCEDURES, 8),
        ("log", log::PROCEDURES, 4),
        ("admin", admin::PROCEDURES, 20),
        ("keepalive", keepalive::PROCEDURES, 2),
    ]
}

#[test]
fn every_procedure_is_there_once_and_found_by_number() {
    for (name, table, count) in programs() {
        assert_eq!(table.len(), count, "{name}");
        assert!(table.windows(2).all(|pair| pair[0].number < pair[1].number), "{name} is sorted");
    }
    assert_eq!(remote::procedure(14).unwrap().api, "virDomainGetXMLDesc");
    for number in [i32::MIN, -1, 0, 454, i32::MAX] {
        assert!(remote::procedure(number).is_none());
    }
}

#[test]
fn read_only_clients_cannot_change_anything() {
    for number in [
        remote::proc::DOMAIN_CREATE,
        remote::proc::DOMAIN_DESTROY,
        remote::proc::DOMAIN_SAVE_IMAGE_GET_XML_DESC,
        remote::proc::CONNECT_GET_DOMAIN_CAPABILITIES,
        remote::proc::NETWORK_DEFINE_XML,
        remote::proc::STORAGE_VOL_UPLOAD,
        remote::proc::SECRET_GET_VALUE,
    ] {
        assert_eq!(remote::procedure(number).unwrap().read_only, ReadOnly::Deny, "{number}");
    }
    let xml = remote::procedure(remote::proc::DOMAIN_GET_XML_DESC).unwrap();
    assert_eq!(xml.read_only, ReadOnly::DenyIf(9));
    assert!(remote::PROCEDURES.iter().filter(|row| row.kind == Kind::Event).all(|row| row.acl.is_empty()));
    assert_eq!(remote::procedure(remote::proc::CONNECT_OPEN).unwrap().class, Class::Connection);
}

#[test]
fn a_domain_looks_on_the_wire_as_libvirt_sends_it() {
    let domain = remote::NonnullDomain { name: "vm".into(), uuid: *b"0123456789abcdef", id: -1 };
    let mut expected = vec![0, 0, 0, 2, b'v', b'm', 0, 0];
    expected.extend_from_slice(b"0123456789abcdef");
    expected.extend_from_slice(&[255; 4]);
    assert_eq!(xdr::to_vec(&domain).unwrap(), expected);
    assert_eq!(reply(&domain).unwrap()[protocol::FRAME_HEAD..], expected);
    let flags = remote::flags_of(14, &xdr::to_vec(&remote::DomainGetXmlDescArgs { dom: domain, flags: 9 }).unwrap());
    assert_eq!(flags, Some(9));
}

struct Driver;
impl remote::Hypervisor<()> for Driver {
    async fn connect_get_hostname(&self, (): &()) -> error::Result<remote::ConnectGetHostnameRet> {
        Ok(remote::ConnectGetHostnameRet { hostname: "host".into() })
    }
}

fn answer(number: i32, payload: &'static [u8]) -> error::Result<Vec<u8>> {
    let future = remote::dispatch_hypervisor(std::sync::Arc::new(Driver), (), number, payload.into());
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(result) => result,
        std::task::Poll::Pending => panic!("this driver never waits"),
    }
}

#[test]
fn dispatch_answers_or_refuses() {
    assert_eq!(answer(59, &[]).unwrap()[protocol::FRAME_HEAD..], *b"\0\0\0\x04host");
    let lacking = answer(7, &[]).unwrap_err();
    assert_eq!(lacking.code, 3);
    assert_eq!(lacking.message, "this function is not supported by the connection driver: virConnectGetCapabilities");
    assert_eq!(answer(14, &[0, 0]).unwrap_err().code, 39);
    assert_eq!(answer(999, &[]).unwrap_err().message, "unknown procedure: 999");
}

proptest! {
    #[test]
    fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..200)) {
        let _ = decode::<remote::DomainGetXmlDescArgs>(&bytes);
        let _ = decode::<remote::ConnectGetAllDomainStatsRet>(&bytes);
        let _ = decode::<remote::NodeGetInfoRet>(&bytes);
        let _ = decode::<remote::ConnectSetIdentityArgs>(&bytes);
        let _ = decode::<lock::RegisterArgs>(&bytes);
        let _ = decode::<log::DomainReadLogFileArgs>(&bytes);
        let _ = decode::<protocol::net::Error>(&bytes);
    }
}
