//! Upload and download of a volume's bytes over a stream.
//!
//! The call checks everything that can be checked and opens the file; a task then moves the bytes while the pool serves others.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use conf::volume::{VolumeDef, VolumeFormat};
use error::{Code, Domain, Error, Result};
use nix::fcntl::{FallocateFlags, fallocate};
use rpc::StreamItem;

use super::claim::Using;
use super::copy::next_data;
use super::{invalid_arg, open};
use crate::driver::Driver;
use crate::pool::Pool;

/// Bytes read at once: one packet of the stream.
const CHUNK: usize = 262_120;

fn streams(error: &io::Error, text: String) -> Error {
    Error::system(Domain::Streams, error, text)
}

/// Checks where a transfer begins and ends within `size` bytes.
fn range(offset: u64, length: u64, size: u64) -> Result<u64> {
    let end = offset.checked_add(length).filter(|end| i64::try_from(*end).is_ok());
    let end =
        end.ok_or_else(|| invalid_arg(format!("offset {offset} and length {length} are outside of any volume")))?;
    if offset > size {
        return Err(invalid_arg(format!("offset {offset} is past the end of the volume at {size}")));
    }
    Ok(end)
}

impl Driver {
    /// Sends the volume's bytes from `offset`, `length` of them (0 = all), on the stream that `call` opens.
    pub(crate) async fn download(
        &self,
        call: &rpc::Call,
        pool: &Pool,
        name: &str,
        offset: u64,
        length: u64,
        sparse: bool,
    ) -> Result<()> {
        let (using, def) = Using::begin(pool, name).await?;
        let opened = open_volume(pool, &def, false).await.and_then(|(file, size)| {
            let end = range(offset, length, size)?;
            Ok((file, if length == 0 { size } else { end.min(size) }))
        });
        let (file, end) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                using.end(false).await?;
                return Err(error);
            }
        };
        let stream = call.open_stream();
        let path = def.path().to_owned();
        tokio::spawn(async move {
            let sent = send(&stream, Arc::new(file), offset, end, sparse).await;
            if let Err(error) = using.end(false).await {
                tracing::warn!(path, %error, "cannot end the use of a volume");
            }
            match sent {
                Ok(()) => stream.finish().await,
                Err(Failure::Closed) => {}
                Err(Failure::Io(error)) => stream.fail(streams(&error, format!("Unable to read {path}"))).await,
            }
        });
        Ok(())
    }

    /// Takes bytes for the volume from `offset`, at most `length` of them (0 = to its end), from the stream that `call` opens.
    pub(crate) async fn upload(
        &self,
        call: &rpc::Call,
        pool: &Pool,
        name: &str,
        offset: u64,
        length: u64,
    ) -> Result<()> {
        let (using, def) = Using::begin(pool, name).await?;
        let opened =
            open_volume(pool, &def, true).await.and_then(|(file, size)| Ok((file, limit(&def, offset, length, size)?)));
        let (file, end) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                using.end(false).await?;
                return Err(error);
            }
        };
        let stream = call.open_stream();
        let (driver, pool, path) = (self.clone(), pool.clone(), def.path().to_owned());
        tokio::spawn(async move {
            let received = receive(&stream, Arc::new(file), offset, end, &path).await;
            if let Err(error) = using.end(true).await {
                tracing::warn!(path, %error, "cannot end the use of a volume");
            }
            driver.refreshed(&pool);
            match received {
                Ok(true) => stream.finish().await,
                // given up by the client, which has its answer
                Ok(false) => {}
                Err(error) => stream.fail(error).await,
            }
        });
        Ok(())
    }
}

/// Where an upload must stop. A raw volume keeps its size; an image with a header may be replaced by one of another length.
fn limit(def: &VolumeDef, offset: u64, length: u64, size: u64) -> Result<u64> {
    let raw = def.target.format == Some(VolumeFormat::Raw);
    let end = range(offset, length, size.max(def.capacity))?;
    match (raw, length) {
        (true, _) if end > size => {
            Err(invalid_arg(format!("offset {offset} and length {length} are past the end of the volume at {size}")))
        }
        (true, 0) => Ok(size),
        (false, 0) => Ok(i64::MAX as u64),
        _ => Ok(end),
    }
}

async fn open_volume(pool: &Pool, def: &VolumeDef, write: bool) -> Result<(File, u64)> {
    let (pool_def, name) = (pool.view().def.clone(), def.name.clone());
    host::run_blocking(move || {
        let folder = open(&pool_def)?;
        let path = folder.join(&name);
        let what = if write { format!("Unable to open stream for '{path}'") } else { format!("Unable to read {path}") };
        let opened = folder.file(&name).and_then(|handle| {
            let file = if write { handle.write()? } else { handle.read()? };
            let size = file.metadata()?.len();
            Ok((file, size))
        });
        opened.map_err(|e| streams(&e, what))
    })
    .await
}

enum Failure {
    Closed,
    Io(io::Error),
}

/// What comes next in a file.
enum Piece {
    Data(Bytes),
    Hole(u64),
}

async fn send(
    stream: &rpc::Stream,
    file: Arc<File>,
    mut position: u64,
    end: u64,
    sparse: bool,
) -> std::result::Result<(), Failure> {
    while position < end {
        let source = file.clone();
        let piece = host::run_blocking(move || next(&source, position, end, sparse)).await.map_err(Failure::Io)?;
        match piece {
            // the file got shorter meanwhile
            Piece::Data(bytes) if bytes.is_empty() => break,
            Piece::Data(bytes) => {
                position += bytes.len() as u64;
                stream.send(bytes).await.map_err(|_| Failure::Closed)?;
            }
            Piece::Hole(length) => {
                position += length;
                stream.send_hole(i64::try_from(length).unwrap_or(i64::MAX)).await.map_err(|_| Failure::Closed)?;
            }
        }
    }
    Ok(())
}

fn next(file: &File, position: u64, end: u64, sparse: bool) -> io::Result<Piece> {
    let mut stop = end;
    if sparse {
        match next_data(file, position, end)? {
            None => return Ok(Piece::Hole(end - position)),
            Some((start, _)) if start > position => return Ok(Piece::Hole(start - position)),
            Some((_, data_end)) => stop = data_end,
        }
    }
    let mut buffer = BytesMut::zeroed(CHUNK.min(usize::try_from(stop - position).unwrap_or(CHUNK)));
    let count = loop {
        match file.read_at(&mut buffer, position) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    buffer.truncate(count);
    Ok(Piece::Data(buffer.freeze()))
}

/// Writes what arrives; true when the client finished, false when it gave up.
async fn receive(stream: &rpc::Stream, file: Arc<File>, mut position: u64, end: u64, path: &str) -> Result<bool> {
    let room = |position: u64, length: u64| match position.checked_add(length) {
        Some(next) if next <= end => Ok(next),
        _ => Err(Error::new(
            Domain::Streams,
            Code::InvalidArg,
            format!("more data than the volume or the length given takes: '{path}'"),
        )),
    };
    loop {
        match stream.recv().await {
            Some(StreamItem::Data(bytes)) => {
                let next = room(position, bytes.len() as u64)?;
                let target = file.clone();
                let written = host::run_blocking(move || target.write_all_at(&bytes, position)).await;
                written.map_err(|e| streams(&e, format!("Unable to write {path}")))?;
                position = next;
            }
            Some(StreamItem::Hole(length)) => {
                let length = u64::try_from(length).map_err(|_| invalid_arg("a hole of negative length"))?;
                let next = room(position, length)?;
                let target = file.clone();
                let made = host::run_blocking(move || hole(&target, position, length)).await;
                made.map_err(|e| streams(&e, format!("Unable to make a hole in {path}")))?;
                position = next;
            }
            Some(StreamItem::Finish) => {
                let synced = host::run_blocking(move || file.sync_all()).await;
                synced.map_err(|e| streams(&e, format!("Unable to write {path}")))?;
                return Ok(true);
            }
            Some(StreamItem::Abort) | None => return Ok(false),
        }
    }
}

/// Makes a stretch read as zeros without using blocks.
fn hole(file: &File, position: u64, length: u64) -> io::Result<()> {
    let size = file.metadata()?.len();
    let end = position + length;
    let inside = end.min(size).saturating_sub(position);
    if inside > 0 {
        let (at, bytes) = (position as i64, inside as i64);
        let punch = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        match fallocate(file, punch, at, bytes) {
            Ok(()) => {}
            Err(nix::errno::Errno::EOPNOTSUPP | nix::errno::Errno::ENOSYS) => zeros(file, position, inside)?,
            Err(errno) => return Err(errno.into()),
        }
    }
    if end > size { file.set_len(end) } else { Ok(()) }
}

fn zeros(file: &File, mut position: u64, mut left: u64) -> io::Result<()> {
    let block = vec![0u8; 1 << 16];
    while left > 0 {
        let part = left.min(block.len() as u64);
        file.write_all_at(&block[..part as usize], position)?;
        position += part;
        left -= part;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use conf::pool::PoolType;

    fn volume(format: &str) -> VolumeDef {
        let text = format!(
            "<volume><name>v</name><capacity>1000</capacity><target><format type='{format}'/></target></volume>"
        );
        VolumeDef::parse(&text, PoolType::Dir).unwrap()
    }

    #[test]
    fn bounds() {
        let raw = volume("raw");
        assert_eq!(limit(&raw, 0, 0, 1000).unwrap(), 1000);
        assert_eq!(limit(&raw, 10, 20, 1000).unwrap(), 30);
        assert_eq!(limit(&raw, 1000, 0, 1000).unwrap(), 1000);
        for (offset, length) in [(1001, 0), (999, 2), (u64::MAX, 1), (1 << 63, 0), (0, 1 << 63), (0, u64::MAX)] {
            assert_eq!(limit(&raw, offset, length, 1000).unwrap_err().code, 8, "{offset} {length}");
            assert_eq!(range(offset, length, 1000).is_err(), length != 2, "{offset} {length}");
        }
        // an image of a smaller or larger file may replace the empty one
        assert!(limit(&volume("qcow2"), 0, 0, 200).unwrap() > 1 << 40);
        assert!(limit(&volume("qcow2"), 5000, 0, 200).is_err());
    }

    #[test]
    fn pieces_follow_the_holes() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        file.write_all_at(&[1; 4096], 65536).unwrap();
        let mut position = 0;
        let mut shape = Vec::new();
        while position < 1 << 20 {
            match next(&file, position, 1 << 20, true).unwrap() {
                Piece::Data(bytes) => {
                    shape.push(("data", bytes.len() as u64));
                    position += bytes.len() as u64;
                }
                Piece::Hole(length) => {
                    shape.push(("hole", length));
                    position += length;
                }
            }
        }
        assert_eq!(shape, [("hole", 65536), ("data", 4096), ("hole", (1 << 20) - 69632)]);
        hole(&file, 65536, 4096).unwrap();
        assert!(matches!(next(&file, 0, 1 << 20, true).unwrap(), Piece::Hole(length) if length == 1 << 20));
        hole(&file, 1 << 20, 4096).unwrap();
        assert_eq!(file.metadata().unwrap().len(), (1 << 20) + 4096);
    }
}
