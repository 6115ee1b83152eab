//! The test runner: every part runs whatever became of the others, and the last line counts the tests.

mod binaries;
mod libtest;
mod report;

use crate::checks;
use crate::cluster::Cluster;
use crate::dirs::Dirs;
use crate::oci::Layout;
use crate::{images, packages, sh, spark, tools};
use anyhow::{Context, Result, bail};
use binaries::TestBinary;
use clap::ValueEnum;
use libtest::Counts;
use report::Report;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

/// Tests with this prefix take long and run only by name.
const HEAVY: &str = "heavy_";

/// Cargo's selection of all targets with tests in them, other than documentation.
const ALL: &[&str] = &["--tests"];

/// A part of the tests that can be run by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Unit and integration tests that need no cluster
    Unit,
    /// Simulations: test targets named sim
    Sim,
    /// End to end, on the cluster
    E2e,
}

/// What to run.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only this part
    suite: Option<Suite>,
    /// Only tests whose name contains this; names that begin with heavy_ run only when asked for
    #[arg(requires = "suite")]
    name: Option<String>,
    /// Leave the cluster up afterwards; one that was up before stays up anyhow
    #[arg(long)]
    keep: bool,
}

/// Runs the tests; prints a table and, alone on the last line, the counts. Whether all went well.
pub fn run(dirs: &Dirs, options: &Options) -> bool {
    let mut report = Report::default();
    let runner = Runner { dirs, cluster: Cluster::find(dirs), name: options.name.as_deref() };
    match options.suite {
        None => runner.everything(&mut report, options.keep),
        Some(Suite::E2e) => {
            let built = binaries(&mut report, dirs, &["--test", "e2e"]);
            let images = report.part("images", || images::build(dirs));
            runner.end_to_end(&mut report, &built, images, options.keep);
        }
        Some(suite) => {
            let built = binaries(&mut report, dirs, ALL);
            runner.local(&mut report, suite, &built);
        }
    }
    report.print();
    !report.failed()
}

struct Runner<'a> {
    dirs: &'a Dirs,
    cluster: Cluster,
    name: Option<&'a str>,
}

impl Runner<'_> {
    /// What does not need each other runs side by side: much of a build keeps one core, and much of the tests on the cluster is
    /// waiting.
    fn everything(&self, report: &mut Report, keep: bool) {
        let dirs = self.dirs;
        let all = [packages::BUILD, packages::CLUSTER, packages::REFERENCE].concat();
        let (built, binaries_built) = mpsc::channel::<Vec<TestBinary>>();
        let on_cluster = move || {
            let mut report = Report::default();
            report.part("tools", || tools::ensure(dirs));
            let images = report.part("images", || images::build(dirs));
            let binaries = binaries_built.recv().unwrap_or_default();
            self.end_to_end(&mut report, &binaries, images, keep);
            report
        };
        thread::scope(|scope| {
            // Go's tools need none of the packages
            let on_cluster = scope.spawn(on_cluster);
            report.part("packages", || packages::ensure(&all));
            report.part("format", || sh::run(cargo(dirs).args(["fmt", "--all", "--check"])));
            let binaries = binaries(report, dirs, ALL);
            // whoever waits for them is gone only with a panic, which the join passes on
            _ = built.send(binaries.clone());
            self.without_cluster(report, &binaries);
            report.append(on_cluster.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        });
    }

    /// What needs neither the cluster nor its tools.
    fn without_cluster(&self, report: &mut Report, built: &[TestBinary]) {
        let dirs = self.dirs;
        report.part("crds", || checks::crds(dirs, true));
        report.part("docs", || checks::docs(dirs, true));
        report.part("manifests", || checks::manifests(dirs, true));
        self.local(report, Suite::Unit, built);
        self.local(report, Suite::Sim, built);
        // the tests on the cluster want its binary
        report.part("first command", || {
            sh::run(cargo(dirs).args(["run", "--release", "--", "run", "examples/wordcount"]))
        });
        self.lints(report);
        report.tests("doc tests", || {
            libtest::run(cargo(dirs).args(["test", "--workspace", "--all-features", "--doc", "--no-fail-fast"]))
        });
    }

    fn lints(&self, report: &mut Report) {
        let dirs = self.dirs;
        report.part("clippy", || {
            let flags = ["--quiet", "--workspace", "--all-features", "--all-targets", "--", "-D", "warnings"];
            sh::run(cargo(dirs).arg("clippy").args(flags))
        });
        if sh::succeeds(cargo(dirs).args(["deny", "--version"])) {
            report.part("deny", || sh::run(cargo(dirs).args(["deny", "check"])));
        }
    }

    /// The tests that need no cluster.
    fn local(&self, report: &mut Report, suite: Suite, built: &[TestBinary]) {
        let name = if suite == Suite::Sim { "sim" } else { "unit" };
        report.tests(name, || self.execute(built.iter().filter(|b| b.suite == suite), |p| Command::new(p)));
    }

    /// The cluster, these images in it, and the tests on it.
    fn end_to_end(&self, report: &mut Report, built: &[TestBinary], images: Option<Vec<Layout>>, keep: bool) {
        let dirs = self.dirs;
        let was_up = self.cluster.healthy();
        let up = report.part("cluster", || self.cluster.up(false, None));
        report.tests("e2e", || {
            up.context("not run: no cluster")?;
            let mut images = images.context("not run: no images")?;
            if self.name.is_some_and(|name| name.contains("heavy_spark")) {
                images.push(spark::image(dirs)?);
            }
            images::deliver(dirs, &self.cluster, &images)?;
            let result = self.execute(built.iter().filter(|b| b.suite == Suite::E2e), |p| self.cluster.command(p));
            if !matches!(&result, Ok(c) if c.failed == 0) {
                self.cluster.diagnose(dirs);
            }
            result
        });
        if !was_up && !keep {
            report.part("cluster down", || self.cluster.down());
        }
    }

    /// Runs test binaries one after the other; fails if that ran no test at all.
    fn execute<'b>(
        &self,
        binaries: impl Iterator<Item = &'b TestBinary>,
        command: impl Fn(&std::path::PathBuf) -> Command,
    ) -> Result<Counts> {
        let mut total = Counts::default();
        for binary in binaries {
            println!("\n{} {}", binary.package, binary.target);
            let mut cmd = command(&binary.path);
            cmd.current_dir(&binary.dir).env("CARGO_MANIFEST_DIR", &binary.dir);
            match self.name {
                Some(name) => cmd.arg(name),
                None => cmd.args(["--skip", HEAVY]),
            };
            let mut counts = libtest::run(&mut cmd)?;
            if self.name.is_some() {
                counts.filtered = 0;
            }
            total += counts;
        }
        if total.passed + total.failed == 0 {
            match self.name {
                Some(name) => bail!("no test has a name that contains {name}"),
                None => bail!("there were no tests to run"),
            }
        }
        Ok(total)
    }
}

/// Builds test binaries; those that could be built are run even if others could not.
fn binaries(report: &mut Report, dirs: &Dirs, targets: &[&str]) -> Vec<TestBinary> {
    let mut built = Vec::new();
    report.part("build", || binaries::build(dirs, targets, &mut built));
    built
}

fn cargo(dirs: &Dirs) -> Command {
    let mut cmd = sh::cargo();
    cmd.current_dir(&dirs.root);
    cmd
}
