//! Frames: tables and properties of the codec.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use std::os::fd::OwnedFd;

fn header() -> Header {
    Header { program: 0x2000_8086, version: 1, procedure: -7, kind: MessageType::Call, serial: 42, status: Status::Ok }
}

fn frame_of(header: &Header, body: &[u8]) -> Vec<u8> {
    let packet = Packet::with_body(*header, Bytes::copy_from_slice(body));
    [&packet.head[..], &packet.body[..]].concat()
}

fn descriptor() -> OwnedFd {
    std::fs::File::open("/dev/null").unwrap().into()
}

fn feed(reader: &mut FrameReader, bytes: &[u8]) {
    reader.buffer().extend_from_slice(bytes);
}

#[test]
fn lengths_out_of_bounds_are_refused() {
    for (length, trusted) in
        [(0u32, true), (3, true), (27, true), (33_554_437, true), (u32::MAX, true), (327_681, false)]
    {
        let mut reader = FrameReader::new(trusted);
        feed(&mut reader, &length.to_be_bytes());
        assert_eq!(reader.next_frame().unwrap_err(), Broken::Length(length));
    }
}

#[test]
fn an_announced_length_takes_no_memory() {
    let mut reader = FrameReader::new(true);
    feed(&mut reader, &33_554_436u32.to_be_bytes());
    assert!(reader.next_frame().unwrap().is_none());
    assert!(reader.buffer().capacity() < 64 * 1024);
}

#[test]
fn descriptors_belong_to_their_bytes() {
    let mut head = header();
    head.kind = MessageType::CallWithFds;
    let bytes = frame_of(&head, &[0, 0, 0, 2, 1, 2, 3, 4]);
    let mut reader = FrameReader::new(true);
    feed(&mut reader, &bytes);
    assert!(reader.next_frame().unwrap().is_none());
    for _ in 0..2 {
        feed(&mut reader, &[0]);
        reader.push_fds([descriptor()]).unwrap();
    }
    let frame = reader.next_frame().unwrap().unwrap();
    assert_eq!((frame.payload(), frame.fds.len()), (&[1u8, 2, 3, 4][..], 2));
    assert!(!reader.is_partial());
}

#[test]
fn a_byte_without_its_descriptor_breaks_the_connection() {
    let mut head = header();
    head.kind = MessageType::CallWithFds;
    let mut reader = FrameReader::new(true);
    feed(&mut reader, &frame_of(&head, &[0, 0, 0, 1]));
    reader.push_fds([descriptor()]).unwrap(); // came with the frame itself: not the announced one
    feed(&mut reader, &[0]);
    assert_eq!(reader.next_frame().unwrap_err(), Broken::DescriptorMissing);
}

#[test]
fn descriptor_counts_are_limited() {
    for body in [&33u32.to_be_bytes()[..], &[0, 0, 0]] {
        let head = Header { kind: MessageType::CallWithFds, ..header() };
        let mut reader = FrameReader::new(true);
        feed(&mut reader, &frame_of(&head, body));
        assert_eq!(reader.next_frame().unwrap_err(), Broken::DescriptorCount);
    }
    let mut reader = FrameReader::new(true);
    feed(&mut reader, &[0]);
    assert_eq!(reader.push_fds((0..129).map(|_| descriptor())).unwrap_err(), Broken::DescriptorFlood);
}

#[test]
fn serial_and_first_word_are_replaced_in_place() {
    let mut reader = FrameReader::new(true);
    feed(&mut reader, &frame_of(&header(), &[0, 0, 0, 9, 5, 5, 5, 5]));
    let mut frame = reader.next_frame().unwrap().unwrap();
    assert_eq!(frame.first_word(), Some(9));
    frame.set_serial(77);
    frame.set_first_word(3);
    let (bytes, _) = frame.into_bytes();
    assert_eq!(&bytes[..], &frame_of(&Header { serial: 77, ..header() }, &[0, 0, 0, 3, 5, 5, 5, 5])[..]);
}

#[test]
fn errors_survive_the_wire() {
    let mut error = error::Error::new(error::Domain::Qemu, error::Code::NoDomain, "no 'x'");
    error.str3 = Some("three".into());
    let body = encode_error(&error);
    assert_eq!(decode_error(&body[protocol::FRAME_HEAD..]).unwrap(), error);
}

#[test]
fn giant_texts_are_cut_and_nul_is_replaced() {
    let error = error::Error::new(error::Domain::Qemu, error::Code::NoDomain, "ä\0".repeat(2_000_000));
    let body = encode_error(&error);
    assert!(body.len() < 400_000);
    let read = decode_error(&body[protocol::FRAME_HEAD..]).unwrap();
    assert!(read.message.starts_with("Domain not found: ä\u{fffd}ä"));
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_never_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)) {
        let mut reader = FrameReader::new(false);
        'all: for piece in pieces {
            feed(&mut reader, &piece);
            loop {
                match reader.next_frame() {
                    Ok(Some(frame)) => { frame.into_payload(); }
                    Ok(None) => break,
                    Err(_) => break 'all,
                }
            }
        }
    }

    #[test]
    fn frames_round_trip_in_any_pieces(
        words in any::<(u32, u32, i32, u32)>(), kind in 0u32..9, status in 0u32..5,
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6), cut in 1usize..64,
    ) {
        prop_assume!(kind != 4 && kind != 5);
        let header = Header {
            program: words.0, version: words.1, procedure: words.2, serial: words.3,
            kind: MessageType::from_word(kind), status: Status::from_word(status),
        };
        let bytes: Vec<u8> = bodies.iter().flat_map(|body| frame_of(&header, body)).collect();
        let mut reader = FrameReader::new(true);
        let mut found = Vec::new();
        for piece in bytes.chunks(cut) {
            feed(&mut reader, piece);
            while let Some(frame) = reader.next_frame().unwrap() {
                prop_assert_eq!(frame.header, header);
                found.push(frame.payload().to_vec());
            }
        }
        prop_assert_eq!(found, bodies);
        prop_assert!(!reader.is_partial());
    }

    #[test]
    fn any_error_body_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_error(&bytes);
    }
}
