//! The writer against real files and pipes.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;

const UNLIMITED: Limits = Limits { max_size: 0, max_backups: 3 };

struct Bench {
    dir: tempfile::TempDir,
    path: PathBuf,
    read: OwnedFd,
    write: Option<File>,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let (read, write) = pipe().unwrap();
        Bench { path: dir.path().join("x.log"), dir, read, write: Some(write.into()) }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.write.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn pump(&self, log: &mut LogFile) -> Flow {
        log.pump(self.read.as_fd(), usize::MAX).unwrap()
    }

    /// The whole chain, oldest first.
    fn contents(&self) -> Vec<Vec<u8>> {
        chain::files(&self.path).map(|file| fs::read(file).unwrap()).collect()
    }
}

#[test]
fn bytes_arrive_and_the_end_is_seen() {
    let mut bench = Bench::new();
    let mut log = LogFile::open(&bench.path, UNLIMITED).unwrap();
    assert_eq!(fs::metadata(&bench.path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(bench.pump(&mut log), Flow::Empty);
    bench.send(b"hello\n");
    assert_eq!(log.pump(bench.read.as_fd(), 1).unwrap(), Flow::More);
    assert_eq!(bench.pump(&mut log), Flow::Empty);
    assert_eq!(log.position().unwrap().offset, 6);
    bench.send(b"last");
    bench.write = None;
    assert_eq!(bench.pump(&mut log), Flow::Closed);
    assert_eq!(bench.contents(), [b"hello\nlast"]);
    let mut again = LogFile::open(&bench.path, UNLIMITED).unwrap();
    assert_eq!(again.position().unwrap().offset, 10);
    again.append(b"!\n").unwrap();
    assert_eq!(bench.contents(), [b"hello\nlast!\n"]);
}

#[test]
fn a_log_that_others_truncate_goes_on_at_its_end() {
    let mut bench = Bench::new();
    let mut log = LogFile::open(&bench.path, UNLIMITED).unwrap();
    bench.send(b"0123456789");
    bench.pump(&mut log);
    File::options().write(true).open(&bench.path).unwrap().set_len(0).unwrap();
    bench.send(b"abc");
    bench.pump(&mut log);
    assert_eq!(bench.contents(), [b"abc"]);
}

#[test]
fn rotation_falls_on_a_newline_near_the_limit() {
    let limits = Limits { max_size: 200, max_backups: 3 };
    for (line, first) in [(50, 200), (60, 180), (81, 162), (150, 150), (190, 190), (120, 200), (121, 121)] {
        let mut bench = Bench::new();
        let mut log = LogFile::open(&bench.path, limits).unwrap();
        let text: Vec<u8> = (1..=400).map(|n| if n % line == 0 { b'\n' } else { b'x' }).collect();
        bench.send(&text);
        bench.pump(&mut log);
        let files = bench.contents();
        assert_eq!(files.concat(), text);
        assert_eq!(files[0].len(), first, "lines of {line}");
        // The same rule for messages.
        let mut other = Bench::new();
        let mut log = LogFile::open(&other.path, limits).unwrap();
        log.append(&text).unwrap();
        assert_eq!(other.contents(), files, "lines of {line}");
        other.write = None;
    }
}

#[test]
fn a_file_that_is_exactly_full_rotates_with_the_next_byte() {
    let mut bench = Bench::new();
    let mut log = LogFile::open(&bench.path, Limits { max_size: 100, max_backups: 1 }).unwrap();
    bench.send(&[b'a'; 100]);
    assert_eq!(bench.pump(&mut log), Flow::Empty);
    assert_eq!(bench.contents().len(), 1);
    bench.send(b"b");
    bench.pump(&mut log);
    assert_eq!(bench.contents(), [vec![b'a'; 100], vec![b'b']]);
    bench.send(&[b'c'; 99]);
    bench.write = None;
    assert_eq!(bench.pump(&mut log), Flow::Closed, "a full file and a closed pipe");
    assert_eq!(bench.contents().len(), 2);
}

#[test]
fn a_smaller_limit_than_the_file_rotates_first() {
    let mut bench = Bench::new();
    fs::write(&bench.path, [b'o'; 500]).unwrap();
    let mut log = LogFile::open(&bench.path, Limits { max_size: 100, max_backups: 2 }).unwrap();
    bench.send(b"new\n");
    bench.pump(&mut log);
    assert_eq!(bench.contents(), [vec![b'o'; 500], b"new\n".to_vec()]);
}

#[test]
fn links_and_special_files_are_refused() {
    let bench = Bench::new();
    let target = bench.dir.path().join("target");
    std::os::unix::fs::symlink(&target, &bench.path).unwrap();
    let refused = LogFile::open(&bench.path, UNLIMITED).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(nix::libc::ELOOP));
    assert!(!target.exists());
    let fifo = bench.dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(LogFile::open(&fifo, UNLIMITED).is_err());
    assert!(LogFile::open(Path::new("/dev/null"), UNLIMITED).is_err());
    assert!(LogFile::open(bench.dir.path(), UNLIMITED).is_err());
}

#[test]
fn bytes_without_a_place_are_counted_and_marked() {
    let mut bench = Bench::new();
    let folder = bench.dir.path().join("gone");
    fs::create_dir(&folder).unwrap();
    bench.path = folder.join("x.log");
    let mut log = LogFile::open(&bench.path, Limits { max_size: 100, max_backups: 1 }).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    bench.send(&[b'x'; 300]);
    assert_eq!(bench.pump(&mut log), Flow::Failing, "it is said first");
    assert!(!log.is_losing());
    log.start_draining();
    assert_eq!(bench.pump(&mut log), Flow::Empty, "the writer is never held up");
    assert!(log.is_losing());
    fs::create_dir(&folder).unwrap();
    bench.send(b"back again\n");
    bench.pump(&mut log);
    assert!(!log.is_losing());
    let text = String::from_utf8(bench.contents().concat()).unwrap();
    assert!(text.contains("bytes lost: No such file or directory\n"), "{text}");
    assert!(text.ends_with("back again\n"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// However the guest writes and whoever else appends: with backups enough no byte is lost, none doubled, the order
    /// stays, no file exceeds the limit, and a file ends inside a line only if no newline was near.
    #[test]
    fn no_byte_is_lost_across_rotations(
        max_size in 1..6_000u64,
        chunks in proptest::collection::vec((1..3_000usize, 1..200usize, any::<bool>()), 1..12),
    ) {
        let mut bench = Bench::new();
        let mut log = LogFile::open(&bench.path, Limits { max_size, max_backups: BACKUPS }).unwrap();
        let mut expected = Vec::new();
        for (length, line, message) in chunks {
            let bytes: Vec<u8> = (0..length).map(|n| if n % line == line - 1 { b'\n' } else { b'a' + (n % 23) as u8 }).collect();
            if message {
                log.append(&bytes).unwrap();
            } else {
                bench.send(&bytes);
                bench.pump(&mut log);
            }
            expected.extend(bytes);
        }
        let files = bench.contents();
        let kept = files.concat();
        prop_assert!(expected.ends_with(&kept));
        if files.len() <= BACKUPS as usize {
            prop_assert_eq!(&kept, &expected);
        }
        for file in &files {
            prop_assert!(file.len() as u64 <= max_size);
        }
    }
}

const BACKUPS: u32 = chain::BACKUPS_MAX;
