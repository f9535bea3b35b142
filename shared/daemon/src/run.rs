//! The life of a daemon, from its command line to its exit status.

use std::env;
use std::ffi::OsString;
use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use host::fork::StatusPipe;
use host::pid_file::PidFile;
use nix::sys::stat::{Mode, umask};

use crate::activation::Activation;
use crate::arguments::{self, Arguments};
use crate::config::File;
use crate::context::{Context, Reload, Services, Shutdown};
use crate::idle::Idle;
use crate::log::{self, Control};
use crate::notify::Manager;
use crate::paths::Paths;
use crate::settings::Settings;
use crate::spec::{Flavour, Spec};
use crate::status::{Failure, OrFail, Status};
use crate::{reexec, serve, sockets, token};

/// Most threads for work that blocks.
const BLOCKING_THREADS_MAX: usize = 8;
/// How long work that blocks may hold up the end.
const BLOCKING_DEADLINE: Duration = Duration::from_secs(1);
/// The variable that puts every path below a folder.
pub(crate) const ROOT_VARIABLE: &str = "VIRTD_ROOT";

/// Runs a daemon to its end. `build` loads the driver and returns what is to be served.
///
/// Everything a `main` function has to do; must be called before any other thread exists.
pub fn run<F, Fut>(spec: Spec, build: F) -> ExitCode
where
    F: FnOnce(Context) -> Fut,
    Fut: Future<Output = anyhow::Result<Services>>,
{
    let words: Vec<OsString> = env::args_os().collect();
    let program = words.first().map_or_else(|| spec.name.to_owned(), |word| word.to_string_lossy().into_owned());
    let arguments = match Arguments::parse_from_words(words, spec.kind) {
        Ok(arguments) => arguments,
        Err(text) => {
            eprintln!("{text}\nTry '{program} --help'.");
            return ExitCode::FAILURE;
        }
    };
    let paths = paths(&arguments);
    if arguments.help {
        print!("{}", arguments::help(&program, &spec, &paths));
        return ExitCode::SUCCESS;
    }
    if arguments.version {
        println!("{}", arguments::version(&program));
        return ExitCode::SUCCESS;
    }
    let control = Control::install(spec.name);
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let text =
            payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("no text");
        tracing::error!(place, "panicked: {text}");
    }));
    let mut parent = None;
    let ended =
        prepare(spec, &arguments, paths, &control, &mut parent).and_then(|prepared| prepared.live(build, &mut parent));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { status, cause }) => {
            tracing::error!("{cause:#}");
            if let Some(parent) = parent {
                parent.report(status as u8);
            }
            ExitCode::from(status as u8)
        }
    }
}

/// The paths of this process; what `--root` said is left in the environment for programs we start.
fn paths(arguments: &Arguments) -> Paths {
    let root =
        arguments.root.clone().or_else(|| env::var_os(ROOT_VARIABLE).filter(|dir| !dir.is_empty()).map(PathBuf::from));
    // The working directory changes when we go to the background.
    let root = root.map(|dir| std::path::absolute(&dir).unwrap_or(dir));
    if let Some(dir) = root.as_ref().and_then(|dir| dir.to_str()) {
        host::system::set_variable(ROOT_VARIABLE, dir);
    }
    Paths::of_process(root)
}

/// A daemon that may start its runtime.
struct Prepared {
    context: Context,
    inherited: serve::Inherited,
    pid_file: PidFile,
}

fn prepare(
    spec: Spec,
    arguments: &Arguments,
    paths: Paths,
    control: &Control,
    parent: &mut Option<StatusPipe>,
) -> Result<Prepared, Failure> {
    let (config, settings) =
        configure(&spec, arguments, &paths).or_fail(Status::PidFile, || "Can't load config file".to_owned())?;
    let pid_path = arguments.pid_file.clone().unwrap_or_else(|| paths.pid_file(spec.name));
    let pid_path = std::path::absolute(&pid_path).unwrap_or(pid_path);
    let resumed = reexec::Resumed::take();
    umask(Mode::from_bits_retain(if paths.privileged { 0o022 } else { 0o077 }));
    if arguments.daemon && !resumed.is_same_process() {
        *parent = Some(host::fork::daemonize().or_fail(Status::Init, || "Failed to fork as daemon".to_owned())?);
    }
    folders(&paths).or_fail(Status::RunDir, || "unable to create the folders of the daemon".to_owned())?;
    let log_default = match arguments.daemon {
        true => log::Default::File(paths.log_dir.join(format!("{}.log", spec.name))),
        false => log::Default::Foreground,
    };
    control
        .configure(&settings, arguments.verbose, &log_default)
        .or_fail(Status::Init, || "Can't initialize logging".to_owned())?;
    let pid_file = match resumed.pid_file() {
        Some(number) => PidFile::adopt(&pid_path, number),
        None => PidFile::acquire(&pid_path),
    }
    .or_fail(Status::PidFile, || format!("Failed to acquire pid file '{}'", pid_path.display()))?;
    let manager = Manager::from_environment();
    let activation = Activation::take(&spec).or_fail(Status::Network, || "cannot use activation".to_owned())?;
    let (sockets, stored) = match activation {
        Some(activation) => (activation.sockets, activation.stored),
        None => (Vec::new(), Vec::new()),
    };
    let mut inherited = serve::Inherited { sockets, own_paths: resumed.own_paths().to_vec() };
    if inherited.sockets.is_empty() {
        let own =
            sockets::bind_all(&spec, &paths, &settings).or_fail(Status::Network, || "cannot listen".to_owned())?;
        for socket in own {
            inherited.own_paths.push(socket.path);
            inherited.sockets.push((socket.role, serve::unit_name(&spec, socket.role), socket.fd));
        }
    }
    let token = token::load(&paths.run_dir).or_fail(Status::Init, || "cannot make the system token".to_owned())?;
    let timeout = arguments.timeout.map(|seconds| Duration::from_secs(seconds.into()));
    let context = Context {
        spec,
        paths: Arc::new(paths),
        settings: Arc::new(settings),
        config: Arc::new(config),
        idle: Idle::new(timeout),
        reload: Reload::default(),
        shutdown: Shutdown::default(),
        manager,
        token: token.into(),
        stored: Arc::new(Mutex::new(stored)),
    };
    Ok(Prepared { context, inherited, pid_file })
}

fn configure(spec: &Spec, arguments: &Arguments, paths: &Paths) -> crate::config::Result<(File, Settings)> {
    let file = match &arguments.config {
        Some(path) => File::load(path)?,
        None => File::load_optional(&paths.config_dir.join(format!("{}.conf", spec.name)))?,
    };
    let settings = Settings::read(&file, spec.kind, paths.privileged)?;
    Ok((file, settings))
}

fn folders(paths: &Paths) -> std::io::Result<()> {
    let mode = if paths.privileged { 0o755 } else { 0o700 };
    object::file::create_folder(&paths.pid_dir, mode)?;
    object::file::create_folder(&paths.run_dir, mode)?;
    // Only some daemons write logs there, and not all may make it; who needs it finds out.
    if let Err(error) = object::file::create_folder(&paths.log_dir, mode) {
        tracing::info!(path = %paths.log_dir.display(), %error, "no folder for logs");
    }
    Ok(())
}

impl Prepared {
    fn live<F, Fut>(self, build: F, parent: &mut Option<StatusPipe>) -> Result<(), Failure>
    where
        F: FnOnce(Context) -> Fut,
        Fut: Future<Output = anyhow::Result<Services>>,
    {
        let Prepared { context, inherited, pid_file } = self;
        let runtime = runtime(context.spec.runtime).or_fail(Status::Init, || "cannot start the runtime".to_owned())?;
        let own_paths = inherited.own_paths.clone();
        let ended = runtime.block_on(serve::serve(context, inherited, build, parent));
        runtime.shutdown_timeout(BLOCKING_DEADLINE);
        match ended {
            Ok(serve::End::Reexec(plan)) => Err(reexec::execute(plan, pid_file)),
            Ok(serve::End::Done) => {
                remove_all(&own_paths);
                Ok(())
            }
            Err(failure) => {
                remove_all(&own_paths);
                Err(failure)
            }
        }
    }
}

fn remove_all(paths: &[PathBuf]) {
    for path in paths {
        let _ = std::fs::remove_file(path);
    }
}

fn runtime(flavour: Flavour) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = match flavour {
        Flavour::CurrentThread => tokio::runtime::Builder::new_current_thread(),
        Flavour::Workers(count) => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(count);
            builder
        }
    };
    builder.enable_all().max_blocking_threads(BLOCKING_THREADS_MAX).thread_name("virtd").build()
}
