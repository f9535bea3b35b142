//! I/O limits of a disk.

use error::Result;
use xml::{Node, Writer};

use crate::domain::fault::xml_error;

/// `<iotune>`: bytes and operations a second; zero means no limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IoTune {
    pub total_bytes_sec: u64,
    pub read_bytes_sec: u64,
    pub write_bytes_sec: u64,
    pub total_iops_sec: u64,
    pub read_iops_sec: u64,
    pub write_iops_sec: u64,
    pub total_bytes_sec_max: u64,
    pub read_bytes_sec_max: u64,
    pub write_bytes_sec_max: u64,
    pub total_iops_sec_max: u64,
    pub read_iops_sec_max: u64,
    pub write_iops_sec_max: u64,
    pub size_iops_sec: u64,
    pub group_name: Option<String>,
    pub total_bytes_sec_max_length: u64,
    pub read_bytes_sec_max_length: u64,
    pub write_bytes_sec_max_length: u64,
    pub total_iops_sec_max_length: u64,
    pub read_iops_sec_max_length: u64,
    pub write_iops_sec_max_length: u64,
}

impl IoTune {
    /// The limits with their element names, in libvirt's order; `group_name` is printed before the first `_max_length`.
    fn fields(&self) -> [(&'static str, u64); 19] {
        [
            ("total_bytes_sec", self.total_bytes_sec),
            ("read_bytes_sec", self.read_bytes_sec),
            ("write_bytes_sec", self.write_bytes_sec),
            ("total_iops_sec", self.total_iops_sec),
            ("read_iops_sec", self.read_iops_sec),
            ("write_iops_sec", self.write_iops_sec),
            ("total_bytes_sec_max", self.total_bytes_sec_max),
            ("read_bytes_sec_max", self.read_bytes_sec_max),
            ("write_bytes_sec_max", self.write_bytes_sec_max),
            ("total_iops_sec_max", self.total_iops_sec_max),
            ("read_iops_sec_max", self.read_iops_sec_max),
            ("write_iops_sec_max", self.write_iops_sec_max),
            ("size_iops_sec", self.size_iops_sec),
            ("total_bytes_sec_max_length", self.total_bytes_sec_max_length),
            ("read_bytes_sec_max_length", self.read_bytes_sec_max_length),
            ("write_bytes_sec_max_length", self.write_bytes_sec_max_length),
            ("total_iops_sec_max_length", self.total_iops_sec_max_length),
            ("read_iops_sec_max_length", self.read_iops_sec_max_length),
            ("write_iops_sec_max_length", self.write_iops_sec_max_length),
        ]
    }

    /// Reads the children of `<iotune>` or `<throttlegroup>`.
    pub fn parse(node: Node<'_>) -> Result<Self> {
        let number = |name: &str| match node.child(name) {
            None => Ok(0),
            Some(n) => xml::parse_u64(&n.text(), 10)
                .ok_or_else(|| xml_error(format!("disk iotune field '{name}' must be an integer"))),
        };
        let tune = Self {
            total_bytes_sec: number("total_bytes_sec")?,
            read_bytes_sec: number("read_bytes_sec")?,
            write_bytes_sec: number("write_bytes_sec")?,
            total_iops_sec: number("total_iops_sec")?,
            read_iops_sec: number("read_iops_sec")?,
            write_iops_sec: number("write_iops_sec")?,
            total_bytes_sec_max: number("total_bytes_sec_max")?,
            read_bytes_sec_max: number("read_bytes_sec_max")?,
            write_bytes_sec_max: number("write_bytes_sec_max")?,
            total_iops_sec_max: number("total_iops_sec_max")?,
            read_iops_sec_max: number("read_iops_sec_max")?,
            write_iops_sec_max: number("write_iops_sec_max")?,
            size_iops_sec: number("size_iops_sec")?,
            group_name: node.child_text("group_name"),
            total_bytes_sec_max_length: number("total_bytes_sec_max_length")?,
            read_bytes_sec_max_length: number("read_bytes_sec_max_length")?,
            write_bytes_sec_max_length: number("write_bytes_sec_max_length")?,
            total_iops_sec_max_length: number("total_iops_sec_max_length")?,
            read_iops_sec_max_length: number("read_iops_sec_max_length")?,
            write_iops_sec_max_length: number("write_iops_sec_max_length")?,
        };
        tune.check()?;
        Ok(tune)
    }

    fn check(&self) -> Result<()> {
        let exclusive = [
            (self.total_bytes_sec, self.read_bytes_sec, self.write_bytes_sec, "bytes_sec"),
            (self.total_iops_sec, self.read_iops_sec, self.write_iops_sec, "iops_sec"),
            (self.total_bytes_sec_max, self.read_bytes_sec_max, self.write_bytes_sec_max, "bytes_sec_max"),
            (self.total_iops_sec_max, self.read_iops_sec_max, self.write_iops_sec_max, "iops_sec_max"),
        ];
        match exclusive.iter().find(|(total, read, write, _)| *total > 0 && (*read > 0 || *write > 0)) {
            Some((.., name)) => Err(xml_error(format!("total and read/write {name} cannot be set at the same time"))),
            None => Ok(()),
        }
    }

    /// Whether any limit is set.
    pub fn is_set(&self) -> bool {
        self.group_name.is_some() || self.fields().iter().any(|(_, v)| *v > 0)
    }

    /// Writes the limits as children.
    pub fn format(&self, w: &mut Writer) {
        for (at, (name, value)) in self.fields().into_iter().enumerate() {
            if at == 13 {
                w.leaf_opt("group_name", self.group_name.as_deref());
            }
            if value > 0 {
                w.leaf(name, value);
            }
        }
    }
}
