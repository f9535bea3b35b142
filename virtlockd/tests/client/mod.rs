//! A client of the lock protocol, and processes that own locks.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use error::{Code, Error};
use protocol::lock::{self, proc};
use rpc::blocking::BlockingConnection;

/// Connects itself, registers itself, takes the lock named by its second argument, says so, and closes the connection
/// when told to.
pub const OWNER_SCRIPT: &str = r#"
import os, socket, struct, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
def text(t):
    t = t.encode()
    return struct.pack(">I", len(t)) + t + bytes(-len(t) % 4)
def call(proc, body):
    s.sendall(struct.pack(">IIIiIII", 28 + len(body), 0x0ea7beef, 1, proc, 0, 0, 0) + body)
    reply = s.recv(65536)
    assert struct.unpack(">I", reply[24:28])[0] == 0, reply
call(1, bytes(16) + text("self") + struct.pack(">III", 1, os.getpid(), 0))
call(6, text("") + text(sys.argv[2]) + struct.pack(">I", 0))
call(2, struct.pack(">I", 0))
print("held", flush=True)
sys.stdin.readline()
s.close()
time.sleep(60)
"#;

/// A process that owns locks; ends with the test.
pub struct Guest {
    child: Child,
}

impl Guest {
    pub fn start() -> Guest {
        Guest { child: testkit::manager::spawn(Command::new("sleep").arg("1000").stdout(Stdio::null())).unwrap() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&self) -> bool {
        host::Pid::open(self.pid() as i32).is_ok_and(|pid| pid.is_running())
    }

    pub fn end(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a call brought.
pub struct Answer(pub error::Result<()>);

impl Answer {
    pub fn ok(self) {
        self.0.unwrap();
    }

    pub fn is(self, code: Code, domain: i32, text: &str) {
        let e = self.refusal(code, domain);
        assert_eq!(e.message, text);
    }

    pub fn begins(self, code: Code, domain: i32, text: &str) {
        let e = self.refusal(code, domain);
        assert!(e.message.starts_with(text), "{}", e.message);
    }

    pub fn contains(self, code: Code, domain: i32, text: &str) {
        let e = self.refusal(code, domain);
        assert!(e.message.contains(text), "{}", e.message);
    }

    fn refusal(self, code: Code, domain: i32) -> Error {
        let e = self.0.expect_err("it must be refused");
        assert_eq!((e.code(), e.domain), (Some(code), domain), "{e:?}");
        e
    }
}

pub struct Client {
    connection: BlockingConnection,
}

impl Client {
    pub fn connect(socket: &Path) -> Client {
        Client { connection: BlockingConnection::connect(socket).unwrap() }
    }

    pub fn try_connect(socket: &Path) -> Option<Client> {
        Some(Client { connection: BlockingConnection::connect(socket).ok()? })
    }

    pub fn register(&mut self, guest: &Guest) -> Answer {
        self.register_as(guest.pid(), 1)
    }

    pub fn register_as(&mut self, pid: u32, id: u32) -> Answer {
        let owner = lock::Owner { uuid: [7; 16], name: "guest".into(), id, pid };
        self.call(proc::REGISTER, &lock::RegisterArgs { owner, flags: 0 })
    }

    pub fn restrict(&mut self, flags: u32) -> Answer {
        self.call(proc::RESTRICT, &lock::RestrictArgs { flags })
    }

    pub fn new_space(&mut self, path: &str, flags: u32) -> Answer {
        self.call(proc::NEW, &lock::NewArgs { path: path.into(), flags })
    }

    pub fn create_space(&mut self, path: &str) -> Answer {
        self.call(proc::CREATE_LOCKSPACE, &lock::CreateLockSpaceArgs { path: path.into() })
    }

    pub fn create(&mut self, path: &str, name: &str) -> Answer {
        self.call(proc::CREATE_RESOURCE, &lock::CreateResourceArgs { path: path.into(), name: name.into(), flags: 0 })
    }

    pub fn delete(&mut self, path: &str, name: &str) -> Answer {
        self.call(proc::DELETE_RESOURCE, &lock::DeleteResourceArgs { path: path.into(), name: name.into(), flags: 0 })
    }

    pub fn acquire(&mut self, path: &str, name: &str, flags: u32) -> Answer {
        self.call(proc::ACQUIRE_RESOURCE, &lock::AcquireResourceArgs { path: path.into(), name: name.into(), flags })
    }

    pub fn release(&mut self, path: &str, name: &str) -> Answer {
        self.release_flags(path, name, 0)
    }

    pub fn release_flags(&mut self, path: &str, name: &str, flags: u32) -> Answer {
        self.call(proc::RELEASE_RESOURCE, &lock::ReleaseResourceArgs { path: path.into(), name: name.into(), flags })
    }

    fn call(&mut self, procedure: i32, args: &impl xdr::Encode) -> Answer {
        Answer(self.connection.call(lock::PROGRAM, procedure, args))
    }
}
