//! Puts the operator together.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use kube::{Client, Config};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tributary_blueprints::{watched, world::Served};

use crate::{
    act::{Act, Events},
    args::Run,
    blueprint::Blueprints,
    caches::{Caches, PrimaryKind, Scope, StoreId},
    controller::{self, Context, Stop},
    daemonjob::{self, DaemonJobs},
    http::{self, Shown},
    jobflow::{self, JobFlows},
    jobtemplate::JobTemplates,
    lease::{Election, Identity},
    mapreducejob::{self, MapReduceJobs, Settings},
    metrics::Metrics,
    pipeline::{self, Pipelines},
    topic::{Topics, kafka::Clusters},
    webhook,
};

/// The lease that decides which replica acts.
pub const LEASE: &str = "tributary-operator";
/// How long the pass under way may take after SIGTERM.
const FAREWELL: Duration = Duration::from_secs(8);

/// Why the operator cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No cluster to talk to.
    #[error("no access to a cluster: {0}; set KUBECONFIG, or run in a pod with a ServiceAccount")]
    Config(#[from] kube::config::InferConfigError),
    /// The client cannot be made.
    #[error("the client of the apiserver: {0}")]
    Client(#[from] kube::Error),
    /// The address of health and metrics, or of the webhook.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Signals cannot be had.
    #[error("signals: {0}")]
    Signals(std::io::Error),
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// What keeps it from starting.
pub async fn run(args: Run) -> Result<(), RunError> {
    let stop = stop_on_signals().map_err(RunError::Signals)?;
    let mut config = Config::infer().await?;
    // a request that is turned away goes back to its queue, with the pause that was asked for: it must not keep a worker
    config.default_retry = false;
    let client = Client::try_from(config)?;
    let metrics = Metrics::new();
    let caches = Caches::new(client.clone(), always, stop.clone());
    tokio::spawn(caches.clone().run());

    let address = args.listen;
    let shown = Shown { caches: caches.clone(), metrics: metrics.clone() };
    let mut server = tokio::spawn(http::serve(address, shown, stop.clone()));
    let mut hook = match args.webhook_listen {
        Some(address) => {
            let served = webhook::serve(address, client.clone(), caches.clone(), args.namespace.clone(), stop.clone());
            tokio::spawn(served)
        }
        None => tokio::spawn(stop.clone().cancelled_owned().map(Ok)),
    };

    let me = Identity::new(&args.pod_name, args.pod_uid.as_deref());
    let (election, leads) = Election::new(client.clone(), &args.namespace, LEASE, me, metrics.clone());
    let retire = CancellationToken::new();
    let election = tokio::spawn(election.run(retire.clone()));

    let events = Events::new(client.clone(), args.pod_name.clone());
    let act = Arc::new(Act::new(client, caches.clone(), metrics.clone(), events));
    let context = Arc::new(Context { caches, act, metrics });
    let listening = tokio::select! {
        () = lead(leads, &context, &args, &stop) => Ok(()),
        ended = &mut server => ended.unwrap_or(Ok(())).map_err(|e| (address, e)),
        ended = &mut hook => ended.unwrap_or(Ok(())).map_err(|e| (args.webhook_listen.unwrap_or(address), e)),
    };
    // only when nothing is written any more may another replica begin
    retire.cancel();
    let _ = election.await;
    listening.map_err(|(address, source)| RunError::Listen { address, source })
}

/// Runs the controllers whenever this replica leads.
async fn lead(mut leads: watch::Receiver<bool>, context: &Arc<Context>, args: &Run, stop: &CancellationToken) {
    loop {
        match stop.run_until_cancelled(leads.wait_for(|leads| *leads)).await {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return,
        }
        let term = Stop { gently: stop.child_token(), at_once: CancellationToken::new() };
        let mut controllers = start(context, args, &term);
        let deposed = tokio::select! {
            _ = leads.wait_for(|leads| !*leads) => true,
            () = stop.cancelled() => false,
        };
        if deposed {
            term.at_once.cancel();
            term.gently.cancel();
        }
        if tokio::time::timeout(FAREWELL, async { while controllers.join_next().await.is_some() {} }).await.is_err() {
            term.at_once.cancel();
            controllers.shutdown().await;
        }
    }
}

fn start(context: &Arc<Context>, args: &Run, term: &Stop) -> JoinSet<()> {
    let workers = usize::from(args.workers);
    let jobs = MapReduceJobs::new(Settings { engine_image: args.engine_image.clone() });
    let mut controllers = JoinSet::new();
    let pipelines = Pipelines::new(context.caches.queues().of(PrimaryKind::Pipeline));
    controllers.spawn(controller::run(Arc::new(pipelines), context.clone(), workers, term.clone()));
    controllers.spawn(controller::run(Arc::new(Blueprints), context.clone(), workers, term.clone()));
    controllers.spawn(controller::run(Arc::new(jobs), context.clone(), workers, term.clone()));
    let clusters = Clusters::new(context.act.client().clone(), context.caches.queues().of(PrimaryKind::Topic));
    let topics = Topics::new(clusters);
    controllers.spawn(controller::run(Arc::new(topics), context.clone(), workers, term.clone()));
    controllers.spawn(controller::run(Arc::new(JobFlows::default()), context.clone(), workers, term.clone()));
    controllers.spawn(controller::run(Arc::new(JobTemplates), context.clone(), workers, term.clone()));
    controllers.spawn(controller::run(Arc::new(DaemonJobs::default()), context.clone(), workers, term.clone()));
    controllers
}

/// The kinds that most decisions need.
fn always(served: &Served) -> Vec<StoreId> {
    let components = watched(served).into_iter().map(|kind| StoreId::new(&kind.group, &kind.kind, Scope::All));
    let own = [pipeline::stores(), mapreducejob::stores(), jobflow::stores(), daemonjob::stores()];
    let own = own.into_iter().flatten();
    own.chain(components).collect()
}

fn stop_on_signals() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tracing::info!("stopping");
        token.cancel();
    });
    Ok(stop)
}
