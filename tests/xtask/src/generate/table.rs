//! One program's fact table as read from JSON.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::Path;

#[derive(Deserialize)]
pub struct Table {
    #[serde(default)]
    pub program: Option<Program>,
    pub constants: Map<String, Value>,
    pub enums: Map<String, Value>,
    pub unions: Map<String, Value>,
    pub structs: Map<String, Value>,
    pub procedures: Vec<Procedure>,
}

#[derive(Deserialize)]
pub struct Program {
    pub name: String,
    pub number: u32,
    pub version: u32,
}

/// A type as the tables describe it: `kind` and what belongs to it.
#[derive(Deserialize, Clone)]
pub struct Type {
    #[serde(default)]
    pub name: String,
    pub kind: String,
    pub len: Option<usize>,
    pub max: Option<usize>,
    pub of: Option<Box<Type>>,
    #[serde(rename = "type")]
    pub type_name: Option<String>,
}

#[derive(Deserialize)]
pub struct Union {
    pub arms: Vec<Arm>,
}

#[derive(Deserialize)]
pub struct Arm {
    pub case: i32,
    #[serde(rename = "const")]
    pub constant: String,
    #[serde(flatten)]
    pub body: Type,
}

#[derive(Deserialize)]
pub struct Procedure {
    pub num: i32,
    pub name: String,
    pub kind: String,
    pub args: Option<String>,
    pub ret: Option<String>,
    #[serde(default)]
    pub prio: String,
    pub class: Option<String>,
    pub api: Option<String>,
    pub ro: Option<String>,
    pub ro_deny_if: Option<Vec<String>>,
    pub stream: Option<Stream>,
    pub fds_in: Option<String>,
    pub fds_out: Option<String>,
    #[serde(default)]
    pub acl: Vec<String>,
    #[serde(default)]
    pub aclfilter: Vec<String>,
    pub event: Option<Event>,
}

#[derive(Deserialize)]
pub struct Stream {
    pub dir: String,
    pub sparse_if: Option<String>,
}

#[derive(Deserialize)]
pub struct Event {
    pub id: Option<i32>,
    pub variant: Option<String>,
}

impl Table {
    pub fn read(path: &Path) -> Result<Table> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    /// The ordered fields of a struct.
    pub fn fields(&self, name: &str) -> Result<Vec<Type>> {
        let value = self.structs.get(name).with_context(|| format!("struct {name}"))?;
        Ok(serde_json::from_value(value.clone())?)
    }
}
