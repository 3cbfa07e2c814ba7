//! Stands in for the `testcontainers` crate where zookeeper-client's tests ask it for ZooKeeper's image.
//!
//! A "container" is a process that `zkServer.sh` of the folder `ZOOKEEPER_BIN_PATH` becomes, with a directory of its own in
//! the place of the image's `/data` and `/conf`. Only what those tests call is here. No images, no networks.

pub mod clients {
    use crate::core::{Container, RunnableImage};
    use crate::images::generic::GenericImage;

    #[derive(Default)]
    pub struct Cli;

    impl Cli {
        /// Starts the server and waits until it serves.
        pub fn run(&self, image: impl Into<RunnableImage<GenericImage>>) -> Container<'_, GenericImage> {
            Container::started(image.into())
        }
    }
}

pub mod images {
    pub mod generic {
        use crate::core::{Healthcheck, RunnableImage, WaitFor};

        #[derive(Default)]
        pub struct GenericImage {
            pub(crate) jvm_flags: String,
        }

        impl GenericImage {
            pub fn new(_name: &str, _tag: &str) -> Self {
                Self::default()
            }

            pub fn with_env_var(mut self, key: &str, value: impl Into<String>) -> Self {
                if key == "SERVER_JVMFLAGS" {
                    self.jvm_flags = value.into();
                }
                self
            }

            pub fn with_healthcheck(self, _check: Healthcheck) -> Self {
                self
            }

            pub fn with_wait_for(self, _what: WaitFor) -> Self {
                self
            }
        }

        impl From<GenericImage> for RunnableImage<GenericImage> {
            fn from(image: GenericImage) -> Self {
                RunnableImage::of(image)
            }
        }
    }
}

pub mod core {
    use std::cell::RefCell;
    use std::fs;
    use std::io::{Read, Write};
    use std::marker::PhantomData;
    use std::net::{TcpListener, TcpStream};
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, Instant};

    use crate::images::generic::GenericImage;

    /// A JVM takes its time to start on a busy machine.
    const READY: Duration = Duration::from_secs(180);
    /// One question whether it serves. Apache's server never answers a connection that came just before it did.
    const ANSWER: Duration = Duration::from_secs(2);
    const PAUSE: Duration = Duration::from_millis(50);

    pub enum WaitFor {
        Healthcheck,
    }

    /// What "healthy" means is ours: the server answers "srvr".
    #[derive(Default)]
    pub struct Healthcheck;

    impl Healthcheck {
        pub fn with_cmd<T>(self, _words: impl Iterator<Item = T>) -> Self {
            self
        }

        pub fn with_interval(self, _interval: Duration) -> Self {
            self
        }

        pub fn with_retries(self, _retries: u32) -> Self {
            self
        }
    }

    pub struct RunnableImage<I> {
        image: I,
        config: Option<PathBuf>,
    }

    impl RunnableImage<GenericImage> {
        pub(crate) fn of(image: GenericImage) -> Self {
            Self { image, config: None }
        }

        /// Only a `/conf/zoo.cfg` matters.
        pub fn with_volume(mut self, (source, destination): (&str, &str)) -> Self {
            if destination == "/conf/zoo.cfg" {
                self.config = Some(source.into());
            }
            self
        }

        pub fn with_network(self, _name: &str) -> Self {
            self
        }
    }

    /// A server of a test. It ends, and its directory goes, when it is dropped.
    pub struct Container<'d, I> {
        port: u16,
        directory: PathBuf,
        jvm_flags: String,
        process: RefCell<Option<Child>>,
        image: PhantomData<(&'d (), I)>,
    }

    impl Container<'_, GenericImage> {
        pub(crate) fn started(image: RunnableImage<GenericImage>) -> Self {
            let port = free_port();
            let directory = fresh_directory(port);
            let given = image.config.map(|path| fs::read_to_string(path).expect("the test's zoo.cfg"));
            fs::write(directory.join("zoo.cfg"), config(given, port, &directory.join("data"))).expect("zoo.cfg");
            let container =
                Self { port, directory, jvm_flags: image.image.jvm_flags, process: RefCell::new(None), image: PhantomData };
            container.start();
            container
        }

        pub fn start(&self) {
            let bin = std::env::var("ZOOKEEPER_BIN_PATH").expect("ZOOKEEPER_BIN_PATH");
            let log = || fs::OpenOptions::new().create(true).append(true).open(self.directory.join("log")).expect("log");
            let child = Command::new(Path::new(&bin).join("zkServer.sh"))
                .arg("start-foreground")
                .arg(self.directory.join("zoo.cfg"))
                .env("SERVER_JVMFLAGS", &self.jvm_flags)
                .stdin(Stdio::null())
                .stdout(log())
                .stderr(log())
                .spawn()
                .expect("zkServer.sh");
            *self.process.borrow_mut() = Some(child);
            self.wait_until_it_serves();
        }

        fn wait_until_it_serves(&self) {
            let deadline = Instant::now() + READY;
            while !serves(self.port) {
                assert!(Instant::now() < deadline, "the server does not serve:\n{}", self.log());
                std::thread::sleep(PAUSE);
            }
        }

        pub fn get_host_port(&self, _inside: u16) -> u16 {
            self.port
        }

        pub fn stdout(&self) -> LogStream {
            LogStream { path: self.directory.join("log") }
        }

        fn log(&self) -> String {
            fs::read_to_string(self.directory.join("log")).unwrap_or_default()
        }
    }

    impl<I> Container<'_, I> {
        pub fn stop(&self) {
            if let Some(mut child) = self.process.borrow_mut().take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }

    impl<I> Drop for Container<'_, I> {
        fn drop(&mut self) {
            self.stop();
            let _ = fs::remove_dir_all(&self.directory);
        }
    }

    pub struct LogStream {
        path: PathBuf,
    }

    impl LogStream {
        pub fn wait_for_message(&self, message: &str) -> Result<(), String> {
            let deadline = Instant::now() + READY;
            while Instant::now() < deadline {
                if fs::read_to_string(&self.path).unwrap_or_default().contains(message) {
                    return Ok(());
                }
                std::thread::sleep(PAUSE);
            }
            Err(format!("the server never said {message:?}"))
        }
    }

    /// The test's lines, or those that the image has without any, with this machine's port and directory.
    fn config(given: Option<String>, port: u16, data: &Path) -> String {
        let given = given.unwrap_or_else(|| "tickTime=2000\ninitLimit=5\nsyncLimit=2\nmaxClientCnxns=60\n".into());
        let kept: String = given
            .lines()
            .filter(|line| !line.starts_with("clientPort=") && !line.starts_with("dataDir="))
            .map(|line| format!("{line}\n"))
            .collect();
        let ours = format!("clientPort={port}\nclientPortAddress=127.0.0.1\ndataDir={}\n", data.display());
        format!("{kept}{ours}admin.enableServer=false\n")
    }

    fn fresh_directory(port: u16) -> PathBuf {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("zk-{}-{port}-{number}", std::process::id()));
        fs::create_dir_all(directory.join("data")).expect("a directory for the server");
        directory
    }

    fn free_port() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("its address").port()
    }

    fn serves(port: u16) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
        let mut answer = String::new();
        let asked = stream.set_read_timeout(Some(ANSWER)).and_then(|()| stream.write_all(b"srvr"));
        asked.and_then(|()| stream.read_to_string(&mut answer)).is_ok() && answer.contains("\nMode: ")
    }
}
