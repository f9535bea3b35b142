use super::*;
use crate::pool::PoolType;

fn error(text: &str) -> (i32, i32, String) {
    let e = VolumeDef::parse(text, PoolType::Dir).unwrap_err();
    (e.code, e.domain, e.message)
}

#[test]
fn refusals_are_libvirts() {
    let volume = |inner: &str| format!("<volume><name>x</name>{inner}</volume>");
    let target = |inner: &str| volume(&format!("<capacity>1</capacity><target>{inner}</target>"));
    let cases = [
        ("<foo/>".to_owned(), 27, 5, "XML error: expecting root element of 'volume', not 'foo'"),
        ("<volume/>".to_owned(), 27, 18, "XML error: missing volume name element"),
        ("<volume><name></name></volume>".to_owned(), 27, 18, "XML error: missing volume name element"),
        (
            "<volume type='zz'><name>x</name></volume>".to_owned(),
            67,
            18,
            "unsupported configuration: unknown volume type 'zz'",
        ),
        (volume(""), 27, 18, "XML error: missing capacity element"),
        (volume("<capacity>abc</capacity>"), 27, 18, "XML error: malformed capacity element"),
        (volume("<capacity>-1</capacity>"), 27, 18, "XML error: malformed capacity element"),
        (volume("<capacity unit='zz'>1</capacity>"), 8, 0, "invalid argument: unknown suffix 'zz'"),
        (volume("<capacity unit='E'>17</capacity>"), 82, 0, "numerical overflow: value too large: 17E"),
        (volume("<capacity unit='E'>8</capacity>"), 82, 0, "numerical overflow: value too large: 8E"),
        (target("<format type='zz'/>"), 67, 18, "unsupported configuration: unknown volume format type zz"),
        (target("<format type='luks'/>"), 67, 18, "unsupported configuration: unknown volume format type luks"),
        (
            target("<format type='zz'/><permissions><mode>9</mode></permissions>"),
            67,
            18,
            "unsupported configuration: unknown volume format type zz",
        ),
        (target("<permissions><mode>999</mode></permissions>"), 27, 18, "XML error: malformed octal mode"),
        (target("<compat>2.0x</compat>"), 27, 18, "XML error: forbidden characters in 'compat' attribute"),
        (target("<features><foo/></features>"), 67, 18, "unsupported configuration: unsupported feature foo"),
        (
            target("<clusterSize>abc</clusterSize>"),
            27,
            5,
            "XML error: Invalid value 'abc' for element or attribute './target/clusterSize'",
        ),
        (target("<encryption/>"), 27, 18, "XML error: unknown volume encryption format"),
        (
            target("<encryption format='zz'/>"),
            67,
            18,
            "unsupported configuration: unknown volume encryption format type zz",
        ),
    ];
    for (text, code, domain, message) in cases {
        assert_eq!(error(&text), (code, domain, message.to_owned()), "{text}");
    }
}

#[test]
fn defaults() {
    let def =
        VolumeDef::parse("<volume><name>x</name><capacity unit='KB'>64</capacity></volume>", PoolType::Dir).unwrap();
    assert_eq!((def.capacity, def.allocation, def.has_allocation), (64_000, 64_000, false));
    assert_eq!(def.target.format, Some(VolumeFormat::Raw));
    let features =
        "<volume><name>x</name><capacity>1</capacity><target><features><lazy_refcounts/></features></target></volume>";
    assert_eq!(VolumeDef::parse(features, PoolType::Dir).unwrap().target.compat.as_deref(), Some("1.1"));
    let overlay = "<volume><name>x</name><backingStore><path>/b</path></backingStore></volume>";
    assert_eq!(VolumeDef::parse(overlay, PoolType::Dir).unwrap().backing.unwrap().format, Some(VolumeFormat::Raw));
}

#[test]
fn printed_as_libvirt_does() {
    let text = "<volume><name>a</name><capacity>5</capacity><target><format type='qcow2'/></target></volume>";
    let mut def = VolumeDef::parse(text, PoolType::Dir).unwrap();
    def.key = Some("/p/a".into());
    def.physical = 7;
    def.target.path = Some("/p/a".into());
    def.target.permissions = Permissions { mode: Some(0o600), owner: Some(0), group: Some(0), label: None };
    let time = Timestamp { seconds: 9, nanoseconds: 5_000_000 };
    def.target.timestamps =
        Some(Timestamps { access: time, modify: time, change: Timestamp { seconds: 9, nanoseconds: 0 } });
    def.target.encryption = Some(VolumeEncryption { format: "luks".into(), secrets: Vec::new() });
    def.target.cluster_size = Some(65536);
    def.target.features = Some(Vec::new());
    let expected = "<volume type='file'>\n  <name>a</name>\n  <key>/p/a</key>\n  <capacity unit='bytes'>5</capacity>\n  \
        <allocation unit='bytes'>5</allocation>\n  <physical unit='bytes'>7</physical>\n  <target>\n    <path>/p/a</path>\n    \
        <format type='qcow2'/>\n    <permissions>\n      <mode>0600</mode>\n      <owner>0</owner>\n      <group>0</group>\n    \
        </permissions>\n    <timestamps>\n      <atime>9.005000000</atime>\n      <mtime>9.005000000</mtime>\n      \
        <ctime>9</ctime>\n      <btime>0</btime>\n    </timestamps>\n    <encryption format='luks'>\n    </encryption>\n    \
        <clusterSize unit='B'>65536</clusterSize>\n    <features/>\n  </target>\n</volume>\n";
    assert_eq!(def.format(), expected);
}
