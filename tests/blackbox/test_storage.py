"""Pools and volumes by libvirt-python, through each way in: the daemon's own socket, the legacy one, and virtqemud's."""
import os
import threading

import libvirt
import pytest

libvirt.registerErrorHandler(lambda *_: None, None)


def ways(suite):
    return {
        "direct": suite.uri("virtstoraged-sock", "storage"),
        "legacy": suite.proxy_uri,
        "virtqemud": suite.uri("virtqemud-sock", "qemu"),
    }


@pytest.fixture(params=["direct", "legacy", "virtqemud"])
def conn(suite, request):
    connection = libvirt.open(ways(suite)[request.param])
    yield connection
    connection.close()


@pytest.fixture
def pool(suite, conn):
    path = suite.path("pools", "p")
    made = conn.storagePoolCreateXML(f"<pool type='dir'><name>p</name><target><path>{path}</path></target></pool>",
                                     libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD)
    yield made
    for volume in made.listAllVolumes():
        volume.delete(0)
    made.destroy()


def volume(pool, name, size=1 << 20, fmt="raw"):
    return pool.createXML(f"<volume><name>{name}</name><capacity>{size}</capacity><target><format type='{fmt}'/></target></volume>", 0)


def code(error):
    return error.value.get_error_code(), error.value.get_error_domain(), error.value.get_error_message()


def test_lookups_and_refusals(conn, pool):
    made = volume(pool, "v")
    path = made.path()
    assert made.key() == path and conn.storageVolLookupByKey(path).name() == "v" and conn.storageVolLookupByPath(path).name() == "v"
    assert made.storagePoolLookupByVolume().name() == "p"
    assert conn.storagePoolLookupByTargetPath(os.path.dirname(path)).name() == "p"
    assert made.info() == [libvirt.VIR_STORAGE_VOL_FILE, 1 << 20, 1 << 20]
    with pytest.raises(libvirt.libvirtError) as error:
        conn.storagePoolLookupByName("none")
    assert code(error) == (49, 18, "Storage pool not found: no storage pool with matching name 'none'")
    with pytest.raises(libvirt.libvirtError) as error:
        volume(pool, "v")
    assert code(error) == (90, 18, "storage volume 'v' exists already")
    with pytest.raises(libvirt.libvirtError) as error:
        pool.XMLDesc(1 << 20)
    assert code(error) == (8, 18, "unsupported flags (0x100000) in function storagePoolGetXMLDesc")
    with pytest.raises(libvirt.libvirtError) as error:
        conn.storagePoolDefineXML("<pool type='dir'><name>x</name><oops/><target><path>/x</path></target></pool>",
                                  libvirt.VIR_STORAGE_POOL_DEFINE_VALIDATE)
    assert code(error)[:2] == (92, 5)


def test_streams_carry_bytes_and_holes(conn, pool):
    size = 8 << 20
    made = volume(pool, "v", size)
    data = os.urandom(300_000)
    stream = conn.newStream(0)
    made.upload(stream, 4 << 20, len(data), 0)
    view = memoryview(data)
    position = 0
    while position < len(data):
        position += stream.send(bytes(view[position:position + 65536]))
    stream.finish()
    with open(made.path(), "rb") as file:
        file.seek(4 << 20)
        assert file.read(len(data)) == data
    stream = conn.newStream(0)
    made.download(stream, 4 << 20, len(data), 0)
    got = b""
    while chunk := stream.recv(100_000):
        got += chunk
    stream.finish()
    assert got == data
    # given up in the middle: the volume is free again
    stream = conn.newStream(0)
    made.upload(stream, 0, 0, 0)
    stream.send(b"x" * 1000)
    stream.abort()
    made.resize(size * 2, 0)
    assert made.info()[1] == size * 2


def test_read_only_clients_only_look(suite, pool):
    volume(pool, "v")
    socket = suite.path("run/libvirt", "virtstoraged-sock-ro")
    looking = libvirt.openReadOnly(f"storage:///system?socket={socket}&mode=direct")
    seen = looking.storagePoolLookupByName("p")
    assert [v.name() for v in seen.listAllVolumes()] == ["v"] and "<name>v</name>" in seen.storageVolLookupByName("v").XMLDesc(0)
    for act in (lambda: seen.destroy(), lambda: seen.storageVolLookupByName("v").delete(0), lambda: volume(seen, "w")):
        with pytest.raises(libvirt.libvirtError) as error:
            act()
        assert error.value.get_error_code() == libvirt.VIR_ERR_OPERATION_DENIED
    looking.close()


def test_events_reach_those_who_asked(suite):
    libvirt.virEventRegisterDefaultImpl()
    stop = threading.Event()

    def loop():
        while not stop.is_set():
            libvirt.virEventRunDefaultImpl()

    connection = libvirt.open(suite.uri("virtstoraged-sock", "storage"))
    heard, came = [], threading.Condition()

    def note(*what):
        with came:
            heard.append(what)
            came.notify_all()

    timer = libvirt.virEventAddTimeout(50, lambda *_: None, None)
    runner = threading.Thread(target=loop)
    runner.start()
    try:
        path = suite.path("pools", "e")
        defined = connection.storagePoolDefineXML(f"<pool type='dir'><name>e</name><target><path>{path}</path></target></pool>", 0)
        other = connection.storagePoolDefineXML(f"<pool type='dir'><name>o</name><target><path>{path}2</path></target></pool>", 0)
        ids = [
            connection.storagePoolEventRegisterAny(defined, libvirt.VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE,
                                                   lambda _c, p, event, detail, _o: note("lifecycle", p.name(), event), None),
            connection.storagePoolEventRegisterAny(None, libvirt.VIR_STORAGE_POOL_EVENT_ID_REFRESH,
                                                   lambda _c, p, _o: note("refresh", p.name()), None),
        ]
        for each in (other, defined):
            each.build(0)
            each.create(0)
        defined.refresh(0)
        other.refresh(0)
        for each in (other, defined):
            each.destroy()
            each.delete(0)
            each.undefine()
        wanted = {("lifecycle", "e", event) for event in (4, 2, 3, 5, 1)} | {("refresh", "e"), ("refresh", "o")}
        with came:
            assert came.wait_for(lambda: wanted <= set(heard), 20), heard
            assert not any(name == "o" for kind, name, *_ in heard if kind == "lifecycle"), heard
        for number in ids:
            connection.storagePoolEventDeregisterAny(number)
        with pytest.raises(libvirt.libvirtError):
            connection.storagePoolEventDeregisterAny(ids[0])
    finally:
        stop.set()
        runner.join()
        libvirt.virEventRemoveTimeout(timer)
        connection.close()
