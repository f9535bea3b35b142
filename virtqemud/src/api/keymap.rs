//! Key codes as QEMU numbers keys.

use error::{Code, Domain, Error};
use protocol::constants as c;

/// Linux key codes that are not their own number in QEMU's set: (Linux, QEMU).
const EXTENDED: &[(u32, u32)] = &[
    (96, 0x9c),
    (97, 0x9d),
    (98, 0xb5),
    (99, 0x54),
    (100, 0xb8),
    (102, 0xc7),
    (103, 0xc8),
    (104, 0xc9),
    (105, 0xcb),
    (106, 0xcd),
    (107, 0xcf),
    (108, 0xd0),
    (109, 0xd1),
    (110, 0xd2),
    (111, 0xd3),
    (119, 0xc6),
    (125, 0xdb),
    (126, 0xdc),
    (127, 0xdd),
];

/// QEMU's number of a key in a code set (`virKeycodeSet`).
///
/// # Errors
/// INVALID_ARG for a set or a key without a known number.
pub(super) fn qnum(set: u32, code: u32) -> error::Result<u32> {
    let set = i32::try_from(set).unwrap_or(-1);
    let found = match set {
        c::VIR_KEYCODE_SET_QNUM => Some(code),
        // The first keys are the PC's scan codes in all three.
        c::VIR_KEYCODE_SET_LINUX | c::VIR_KEYCODE_SET_XT | c::VIR_KEYCODE_SET_ATSET1
            if (1..=0x53).contains(&code) || (0x57..=0x58).contains(&code) =>
        {
            Some(code)
        }
        c::VIR_KEYCODE_SET_LINUX => EXTENDED.iter().find(|(linux, _)| *linux == code).map(|(_, qnum)| *qnum),
        _ => None,
    };
    found.ok_or_else(|| {
        Error::new(Domain::Qemu, Code::InvalidArg, format!("cannot translate keycode {code} of codeset {set} to a key"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        assert_eq!(qnum(0, 30).unwrap(), 30);
        assert_eq!(qnum(0, 111).unwrap(), 0xd3);
        assert!(qnum(0, 240).is_err());
        assert!(qnum(77, 1).is_err());
    }
}
