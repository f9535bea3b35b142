use super::*;
use proptest::prelude::*;

fn refusal(text: &str) -> (i32, i32, String) {
    let e = PoolDef::parse(text).unwrap_err();
    (e.code, e.domain, e.message)
}

#[test]
fn refusals_are_libvirts() {
    let dir = |inner: &str| format!("<pool type='dir'><name>a</name>{inner}<target><path>/a</path></target></pool>");
    let perms = |inner: &str| {
        format!(
            "<pool type='dir'><name>a</name><target><path>/a</path><permissions>{inner}</permissions></target></pool>"
        )
    };
    let rbd = |inner: &str| {
        format!("<pool type='rbd'><name>a</name><source><name>x</name><host name='h'/>{inner}</source></pool>")
    };
    let scsi = |inner: &str| {
        format!("<pool type='scsi'><name>a</name><source>{inner}</source><target><path>/d</path></target></pool>")
    };
    let netfs = |inner: &str| {
        format!(
            "<pool type='netfs'><name>a</name><source><host name='h'/><dir path='/x'/>{inner}</source><target><path>/a</path></target></pool>"
        )
    };
    let xml = |detail: &str| format!("XML error: {detail}");
    let cases = [
        ("<foo/>".into(), 27, 5, xml("expecting root element of 'pool', not 'foo'")),
        ("<pool><name>a</name></pool>".into(), 27, 5, xml("Missing required attribute 'type' in element 'pool'")),
        ("<pool type='foo'><name>a</name></pool>".into(), 27, 5, xml("Invalid value for attribute 'type' in element 'pool': 'foo'.")),
        ("<pool type='dir'></pool>".into(), 27, 18, xml("missing pool source name element")),
        ("<pool type='dir'><name>a/b</name></pool>".into(), 27, 18, xml("name a/b cannot contain '/'")),
        ("<pool type='dir'><name>a</name></pool>".into(), 27, 18, xml("missing storage pool target path")),
        (dir("<uuid>zz</uuid>"), 27, 18, xml("malformed uuid element")),
        (dir("<features><cow state='maybe'/></features>"), 27, 5, xml("Invalid value for attribute 'state' in element 'cow': 'maybe'.")),
        (dir("<source><host/></source>"), 27, 18, xml("missing storage pool host name")),
        (dir("<source><device/><adapter type='zz'/></source>"), 27, 18, xml("missing storage pool source device path")),
        (dir("<source><auth/><protocol ver='a,b'/></source>"), 27, 18, xml("missing username for auth")),
        (perms("<mode>77777</mode>"), 27, 18, xml("malformed octal mode")),
        (perms("<mode>0x1ff</mode>"), 27, 18, xml("malformed octal mode")),
        (perms("<owner>-2</owner>"), 27, 18, xml("malformed owner element")),
        (perms("<group></group>"), 27, 18, xml("malformed group element")),
        (rbd("<host name='h' port='abc'/>"), 27, 5, xml("Invalid value for attribute 'port' in element 'host': 'abc'. Expected integer value")),
        (rbd("<auth username='u'><secret usage='z'/></auth>"), 67, 18, "unsupported configuration: storage pool missing auth type".into()),
        (rbd("<auth type='foo' username='u'><secret usage='z'/></auth>"), 67, 18, "unsupported configuration: unknown auth type 'foo'".into()),
        (rbd("<auth type='ceph' username='u'></auth>"), 27, 18, xml("Missing <secret> element in auth")),
        (rbd("<auth type='ceph' username='u'><secret/></auth>"), 27, 0, xml("missing secret uuid or usage attribute")),
        (rbd("<auth type='ceph' username='u'><secret uuid='10ed'/></auth>"), 27, 0, xml("invalid secret uuid '10ed'")),
        ("<pool type='rbd'><name>a</name></pool>".into(), 27, 18, xml("missing storage pool source host name")),
        ("<pool type='rbd'><name>a</name><source><host name='h'/></source></pool>".into(), 27, 18, xml("element 'name' is mandatory for RBD pool")),
        ("<pool type='fs'><name>a</name><target><path>/a</path></target></pool>".into(), 27, 18, xml("missing storage pool source device name")),
        ("<pool type='logical'><name>a</name><features><cow state='yes'/></features></pool>".into(), 3, 18,
            "this function is not supported by the connection driver: cow feature may only be used for 'fs' and 'dir' pools".into()),
        (netfs("<format type='smbfs'/>"), 67, 18, "unsupported configuration: unknown pool format type smbfs".into()),
        (netfs("<format type='nfs'/><protocol ver='a,b'/>"), 35, 18, "storage pool protocol ver 'a,b' must not contain ','".into()),
        (netfs("<format type='cifs'/><protocol ver='3'/>"), 67, 18, "unsupported configuration: storage pool protocol ver unsupported for pool type 'cifs'".into()),
        (scsi(""), 27, 18, xml("missing storage pool source adapter")),
        (scsi("<adapter type='scsi_host'/>"), 27, 18, xml("Either 'name' or 'parent' must be specified for the 'scsi_host' adapter")),
        (scsi("<adapter type='scsi_host'><parentaddr unique_id='5'/></adapter>"), 27, 18, xml("Missing scsi_host PCI address element")),
        (scsi("<adapter type='scsi_host'><parentaddr unique_id='x'/></adapter>"), 27, 18, xml("Missing or invalid scsi adapter 'unique_id' value")),
        (scsi("<adapter><parentaddr/></adapter>"), 27, 18, xml("Use of 'parentaddr' element requires use of the adapter 'type'")),
        (scsi("<adapter type='fc_host'/>"), 27, 18, xml("'wwnn' and 'wwpn' must be specified for adapter type 'fchost'")),
        (scsi("<adapter type='fc_host' wwnn='zz' wwpn='10'/>"), 1, 0, "internal error: Malformed wwn: zz".into()),
        ("<pool type='iscsi-direct'><name>a</name><source><host name='h'/><device path='x'/></source></pool>".into(), 67, 18,
            "unsupported configuration: missing initiator IQN".into()),
    ];
    for (text, code, domain, message) in cases {
        assert_eq!(refusal(&text), (code, domain, message), "{text}");
    }
}

#[test]
fn a_dir_pool_is_printed_as_libvirt_does() {
    let text = "<pool type='dir'><name>p</name><uuid>11111111-2222-3333-4444-555555555555</uuid>\
        <source><host name='h'/><vendor name='v'/></source><target><path>//a//b/</path><permissions><mode>755</mode><owner>-1</owner></permissions></target></pool>";
    let expected = "<pool type='dir'>\n  <name>p</name>\n  <uuid>11111111-2222-3333-4444-555555555555</uuid>\n  \
        <capacity unit='bytes'>0</capacity>\n  <allocation unit='bytes'>0</allocation>\n  <available unit='bytes'>0</available>\n  \
        <source>\n    <vendor name='v'/>\n  </source>\n  <target>\n    <path>//a/b</path>\n    <permissions>\n      \
        <mode>0755</mode>\n    </permissions>\n  </target>\n</pool>\n";
    assert_eq!(PoolDef::parse(text).unwrap().format(), expected);
}

/// Every document with a recorded answer gives that answer; `OXVIRT_CORPUS` names the folder of such documents.
#[test]
fn corpus() {
    let Some(folder) =
        std::env::var_os("OXVIRT_CORPUS").map(|f| std::path::PathBuf::from(f).join("pool")).filter(|f| f.is_dir())
    else {
        println!("skipped: needs OXVIRT_CORPUS");
        return;
    };
    let mut seen = 0;
    for entry in std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap())
        .filter(|e| e.path().extension().is_some_and(|x| x == "xml"))
    {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let def = PoolDef::parse(&text).unwrap_or_else(|e| panic!("{:?}: {e}", entry.path()));
        assert_eq!(PoolDef::parse(&def.format()).unwrap(), def, "{:?}", entry.path());
        seen += 1;
    }
    assert!(seen > 0);
}

proptest! {
    #[test]
    fn no_document_panics(text in "(<pool type='[a-z-]{2,8}'>)?(<name>.{0,3}</name>)?(<source>(<(host|device|dir|adapter|auth|format) [a-z]{1,4}='.{0,3}'/>){0,3}</source>)?(<target><path>.{0,5}</path></target>)?(</pool>)?") {
        let _ = PoolDef::parse(&text);
    }

    #[test]
    fn what_is_printed_is_read_again(kind in proptest::sample::select(vec!["dir", "mpath", "fs", "netfs", "logical"]), name in "[a-z&<>'\" ]{0,8}x", path in "/[a-zé&<> ]{1,8}", mode in 0u32..0o777) {
        let source = "<device path='/d'/><host name='h'/><dir path='/x'/>";
        let escape = |s: &str| s.replace('&', "&amp;").replace('<', "&lt;");
        let text = format!("<pool type='{kind}'><name>{}</name><source>{source}</source><target><path>{}</path><permissions><mode>{mode:o}</mode></permissions></target></pool>", escape(&name), escape(&path));
        let def = PoolDef::parse(&text).unwrap();
        // a source part that the type does not use is dropped when printed, so the comparison starts at the first printed form
        let once = PoolDef::parse(&def.format()).unwrap();
        prop_assert_eq!(&PoolDef::parse(&once.format()).unwrap(), &once);
        prop_assert_eq!(once.name, name);
    }
}
