//! Users and groups by name or number.

use std::ffi::CString;
use std::io;

use nix::unistd::{Gid, Group, Uid, User};

/// An account to run something as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// All groups, the primary one included.
    pub groups: Vec<u32>,
}

/// The id of a user: a name, a number, or a number with a leading `+` that is never taken for a name
/// (libvirt's rule for the `user` setting).
pub fn user_id(text: &str) -> io::Result<Option<u32>> {
    if let Some(number) = text.strip_prefix('+') {
        return Ok(number.parse().ok());
    }
    if let Some(user) = User::from_name(text)? {
        return Ok(Some(user.uid.as_raw()));
    }
    Ok(text.parse().ok())
}

/// The id of a group, by the same rule as [`user_id`].
pub fn group_id(text: &str) -> io::Result<Option<u32>> {
    if let Some(number) = text.strip_prefix('+') {
        return Ok(number.parse().ok());
    }
    if let Some(group) = Group::from_name(text)? {
        return Ok(Some(group.gid.as_raw()));
    }
    Ok(text.parse().ok())
}

/// The name of a user, if the host knows it.
pub fn user_name(uid: u32) -> io::Result<Option<String>> {
    Ok(User::from_uid(Uid::from_raw(uid))?.map(|user| user.name))
}

/// The name of a group, if the host knows it.
pub fn group_name(gid: u32) -> io::Result<Option<String>> {
    Ok(Group::from_gid(Gid::from_raw(gid))?.map(|group| group.name))
}

/// The home directory of a user, if the host knows it.
pub fn home(uid: u32) -> io::Result<Option<std::path::PathBuf>> {
    Ok(User::from_uid(Uid::from_raw(uid))?.map(|user| user.dir))
}

/// The account of a user and group with the supplementary groups that the host's database lists for the user.
/// A user without an entry has no others than `gid`.
pub fn account(uid: u32, gid: u32) -> io::Result<Account> {
    let groups = match User::from_uid(Uid::from_raw(uid))? {
        Some(user) => {
            let name = CString::new(user.name).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            nix::unistd::getgrouplist(&name, Gid::from_raw(gid))?.iter().map(|gid| gid.as_raw()).collect()
        }
        None => vec![gid],
    };
    Ok(Account { uid, gid, groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(user_id("root").unwrap(), Some(0));
        assert_eq!(user_id("+12").unwrap(), Some(12));
        assert_eq!(user_id("4711").unwrap(), Some(4711));
        assert_eq!(user_id("+root").unwrap(), None);
        assert_eq!(user_id("nobody-has-this-name").unwrap(), None);
        assert_eq!(group_id("root").unwrap(), Some(0));
        assert_eq!(user_name(0).unwrap().as_deref(), Some("root"));
        assert_eq!(account(0, 0).unwrap().uid, 0);
        assert!(account(0, 77).unwrap().groups.contains(&77));
        assert_eq!(account(4_000_000_000, 5).unwrap().groups, [5]);
    }
}
