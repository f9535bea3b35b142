//! Round trips, limits, and decoders that survive any bytes.

use proptest::prelude::*;
use xdr::*;

#[test]
fn words_are_big_endian_and_padded() {
    assert_eq!(to_vec(&1_i32).unwrap(), [0, 0, 0, 1]);
    assert_eq!(to_vec(&-1_i8).unwrap(), [255; 4]);
    assert_eq!(to_vec(&Some(2_u64)).unwrap(), [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
    let mut out = Vec::new();
    encode_string("abcde", 8, &mut out).unwrap();
    assert_eq!(out, [0, 0, 0, 5, b'a', b'b', b'c', b'd', b'e', 0, 0, 0]);
}

#[test]
fn limits_and_nul_are_refused() {
    let mut out = Vec::new();
    assert_eq!(encode_string("abc", 2, &mut out), Err(Error::TooLong { length: 3, limit: 2 }));
    assert_eq!(encode_string("a\0c", 9, &mut out), Err(Error::NulInString));
    for length in [5_u32, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        let bytes = length.to_be_bytes();
        assert!(decode_opaque(&mut Reader::new(&bytes), 4).is_err());
        assert!(decode_array::<u32>(&mut Reader::new(&bytes), usize::MAX).is_err());
    }
    assert_eq!(from_slice::<bool>(&[0, 0, 0, 2]), Err(Error::NotBoolean(2)));
    assert_eq!(from_slice::<i8>(&[0, 0, 0, 0xff]), Ok(-1));
    assert_eq!(from_slice::<u16>(&[0, 1, 0, 0]), Err(Error::OutOfRange(65536)));
}

proptest! {
    #[test]
    fn strings_round_trip(text in "[^\0]{0,40}") {
        let mut out = Vec::new();
        encode_string(&text, 200, &mut out).unwrap();
        prop_assert_eq!(out.len() % 4, 0);
        prop_assert_eq!(decode_string(&mut Reader::new(&out), 200), Ok(text));
    }

    #[test]
    fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = decode_array::<Option<u64>>(&mut Reader::new(&bytes), 1000);
        let _ = decode_string(&mut Reader::new(&bytes), 1000);
        let _ = decode_opaque_fixed::<16>(&mut Reader::new(&bytes));
    }
}
