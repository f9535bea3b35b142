//! The proxy in front of drivers that live in this process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use error::Code;
use protocol::{Class, remote};
use rpc::{Call, ClientConnection, Listener, Program, RemoteConfig, RemoteProgram, Router, Server};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

const REMOTE: u32 = remote::PROGRAM;

struct Driver(&'static str);

impl remote::Hypervisor<Call> for Driver {
    async fn connect_get_hostname(&self, call: &Call) -> error::Result<remote::ConnectGetHostnameRet> {
        let role = if call.client().read_only() { "looking" } else { "writing" };
        Ok(remote::ConnectGetHostnameRet { hostname: format!("{} {role}", self.0) })
    }
}

impl remote::Network<Call> for Driver {
    async fn connect_num_of_networks(&self, _: &Call) -> error::Result<remote::ConnectNumOfNetworksRet> {
        Ok(remote::ConnectNumOfNetworksRet { num: 5 })
    }
}

fn serve(directory: &Path, name: &str, programs: Vec<Arc<dyn Program>>) -> Server {
    let server = Server::builder(name).programs(programs).build();
    for (suffix, read_only) in [("-sock", false), ("-sock-ro", true)] {
        let socket = UnixListener::bind(directory.join(format!("{name}{suffix}"))).unwrap();
        server.serve(Listener::new(name, socket).read_only(read_only)).unwrap();
    }
    server
}

fn config(scheme: &'static str) -> RemoteConfig {
    RemoteConfig { driver: scheme, scheme, privileged: true, session_when_privileged: false, features: &[] }
}

fn hypervisor(directory: &Path, scheme: &'static str) -> Server {
    let driver = Arc::new(Driver(scheme));
    let programs = RemoteProgram::builder(config(scheme)).serve(Class::Hypervisor, move |call, number, payload| {
        remote::dispatch_hypervisor(driver.clone(), call, number, payload)
    });
    serve(directory, &format!("virt{scheme}d"), programs.build())
}

fn network(directory: &Path) -> Server {
    let driver = Arc::new(Driver("network"));
    let programs = RemoteProgram::builder(config("network")).serve(Class::Network, move |call, number, payload| {
        remote::dispatch_network(driver.clone(), call, number, payload)
    });
    serve(directory, "virtnetworkd", programs.build())
}

fn proxy(directory: &Path) -> Server {
    serve(directory, "libvirt", virtproxyd::programs(Router::new(directory, true)))
}

async fn connect(directory: &Path, socket: &str, uri: &str) -> error::Result<ClientConnection> {
    let connection = ClientConnection::connect(&directory.join(socket)).await?;
    connection.open(uri, 0).await?;
    Ok(connection)
}

async fn hostname(connection: &ClientConnection) -> error::Result<String> {
    let ret: remote::ConnectGetHostnameRet = connection.call(REMOTE, remote::proc::CONNECT_GET_HOSTNAME, &()).await?;
    Ok(ret.hostname)
}

#[tokio::test]
async fn the_uri_chooses_the_hypervisor_and_the_class_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let _servers = [hypervisor(path, "qemu"), hypervisor(path, "lxc"), network(path), proxy(path)];
    for scheme in ["qemu", "lxc"] {
        let connection = connect(path, "libvirt-sock", &format!("{scheme}:///system")).await.unwrap();
        assert_eq!(hostname(&connection).await.unwrap(), format!("{scheme} writing"));
        let ret: remote::ConnectGetUriRet = connection.call(REMOTE, remote::proc::CONNECT_GET_URI, &()).await.unwrap();
        assert_eq!(ret.uri, format!("{scheme}:///system"));
        let ret: remote::ConnectNumOfNetworksRet =
            connection.call(REMOTE, remote::proc::CONNECT_NUM_OF_NETWORKS, &()).await.unwrap();
        assert_eq!(ret.num, 5);
        let absent = connection.call::<(), ()>(REMOTE, remote::proc::CONNECT_NUM_OF_STORAGE_POOLS, &()).await;
        assert_eq!(absent.unwrap_err().code(), Some(Code::NoSupport));
        let unknown = connection.call::<(), ()>(REMOTE, 9999, &()).await.unwrap_err();
        assert_eq!(unknown.message, "unknown procedure: 9999");
    }
    let direct = connect(path, "libvirt-sock", "network:///system").await.unwrap();
    let ret: remote::ConnectNumOfNetworksRet =
        direct.call(REMOTE, remote::proc::CONNECT_NUM_OF_NETWORKS, &()).await.unwrap();
    assert_eq!(ret.num, 5);
    assert_eq!(hostname(&direct).await.unwrap_err().code(), Some(Code::NoSupport));
}

#[tokio::test]
async fn a_client_without_uri_gets_the_hypervisor_that_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let _servers = [hypervisor(path, "qemu"), proxy(path)];
    let connection = connect(path, "libvirt-sock", "").await.unwrap();
    let ret: remote::ConnectGetUriRet = connection.call(REMOTE, remote::proc::CONNECT_GET_URI, &()).await.unwrap();
    assert_eq!(ret.uri, "qemu:///system");
}

#[tokio::test]
async fn read_only_stays_read_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let _servers = [hypervisor(path, "qemu"), proxy(path)];
    let connection = connect(path, "libvirt-sock-ro", "qemu:///system").await.unwrap();
    assert_eq!(hostname(&connection).await.unwrap(), "qemu looking");
    let define = connection.call::<(), ()>(REMOTE, remote::proc::DOMAIN_DEFINE_XML, &()).await;
    assert_eq!(define.unwrap_err().code(), Some(Code::OperationDenied));
}

#[tokio::test]
async fn a_restarted_driver_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let _proxy = proxy(path);
    let refused = connect(path, "libvirt-sock", "qemu:///system").await.err().unwrap();
    assert_eq!((refused.code(), refused.int1), (Some(Code::SystemError), 2), "nobody listens");
    let driver = hypervisor(path, "qemu");
    let connection = connect(path, "libvirt-sock", "qemu:///system").await.unwrap();
    assert!(hostname(&connection).await.is_ok());
    for client in driver.clients() {
        client.close();
    }
    let mut count = driver.client_count();
    count.wait_for(|count| *count == 0).await.unwrap();
    assert_eq!(hostname(&connection).await.unwrap(), "qemu writing");
}

#[tokio::test]
async fn calls_before_open_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _proxy = proxy(directory.path());
    let connection = ClientConnection::connect(&directory.path().join("libvirt-sock")).await.unwrap();
    let error = hostname(&connection).await.unwrap_err();
    assert_eq!(error.message, "internal error: hypervisor connection not open");
    let error = connection.open("frob:///system", 0).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::NoConnect));
}
