//! Work on volumes of pools whose volumes are files.
//!
//! | file | does |
//! |---|---|
//! | `find` | volumes by name, key and path; figures and documents of now |
//! | `create` | new volumes: raw, directory, or whatever `qemu-img` makes |
//! | `copy` | a volume from another one |
//! | `change` | resize, wipe, delete |
//! | `transfer` | upload and download |
//! | `claim` | a volume in use, a name being made |
//!
//! Each reserves its volume in a turn of the pool's actor, works beside it on open descriptors, and enters the result in another turn.

mod change;
mod claim;
mod copy;
mod create;
mod find;
mod transfer;

use error::{Code, Domain, Error, Result};

use crate::backend;
use crate::folder::Folder;

pub(crate) use change::{DeleteFlags, ResizeFlags};
pub(crate) use copy::CloneFlags;
pub(crate) use create::CreateFlags;

/// The pool's directory; refuses pools whose volumes are no files.
fn open(def: &conf::pool::PoolDef) -> Result<Folder> {
    if !def.kind.holds_files() {
        return Err(Error::new(
            Domain::Storage,
            Code::NoSupport,
            "storage pool does not support volumes that are files",
        ));
    }
    backend::open_folder(def)
}

fn system(error: &std::io::Error, text: String) -> Error {
    Error::system(Domain::Storage, error, text)
}

fn invalid_arg(detail: impl Into<String>) -> Error {
    Error::new(Domain::Storage, Code::InvalidArg, detail)
}

fn unsupported(detail: impl Into<String>) -> Error {
    Error::new(Domain::Storage, Code::ConfigUnsupported, detail)
}
