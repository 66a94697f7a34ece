"""The public names: one table, read by type checkers and, lazily, at run time."""

from . import (
    data as data,
    errors as errors,
    evaluation as evaluation,
    exact as exact,
    guidance as guidance,
    inference as inference,
    learn as learn,
    likelihood as likelihood,
    losses as losses,
    methods as methods,
    model as model,
    networks as networks,
    noise as noise,
    parts as parts,
    plan as plan,
    plots as plots,
    samplers as samplers,
    score as score,
    studio as studio,
    training as training,
)
from .data import (
    Dataset as Dataset,
    Encoding as Encoding,
    load as load,
    save_samples as save_samples,
    split as split,
)
from .data.toys import (
    checkerboard as checkerboard,
    eight_gaussians as eight_gaussians,
    moons as moons,
    pinwheel as pinwheel,
    rings as rings,
    swiss_roll as swiss_roll,
    toy_mixture as toy_mixture,
)
from .errors import (
    DataError as DataError,
    DivergenceError as DivergenceError,
    RunError as RunError,
    SettingError as SettingError,
)
from .estimator import (
    NCSN as NCSN,
)
from .evaluation import (
    Comparison as Comparison,
    c2st as c2st,
    compare as compare,
    copied_fraction as copied_fraction,
    energy_distance as energy_distance,
    frechet_distance as frechet_distance,
    judge as judge,
    loss_by_level as loss_by_level,
    precision_recall_density_coverage as precision_recall_density_coverage,
    score_error_by_level as score_error_by_level,
    sliced_wasserstein2 as sliced_wasserstein2,
    stray_fraction as stray_fraction,
    train_on_synthetic as train_on_synthetic,
    wasserstein2 as wasserstein2,
)
from .exact import (
    EmpiricalScore as EmpiricalScore,
    GaussianMixtureScore as GaussianMixtureScore,
)
from .guidance import (
    AutoGuidance as AutoGuidance,
    ClassGuidance as ClassGuidance,
    LinearMeasurement as LinearMeasurement,
    impute as impute,
    sample_posterior as sample_posterior,
)
from .inference import (
    Posterior as Posterior,
)
from .likelihood import (
    log_density as log_density,
)
from .losses import (
    WEIGHTINGS as WEIGHTINGS,
    Consistency as Consistency,
    DenoisingScoreMatching as DenoisingScoreMatching,
    StableTarget as StableTarget,
    ncsn_loss as ncsn_loss,
)
from .methods import (
    METHODS as METHODS,
    Method as Method,
)
from .model import (
    Model as Model,
)
from .networks import (
    PRECONDITIONINGS as PRECONDITIONINGS,
    DiffusersNetwork as DiffusersNetwork,
    NCSNScoreNetwork as NCSNScoreNetwork,
    PreconditionedScore as PreconditionedScore,
    Preconditioning as Preconditioning,
    ResidualMLP as ResidualMLP,
    SinusoidalPositionEmbeddings as SinusoidalPositionEmbeddings,
)
from .noise import (
    DDPM as DDPM,
    PROCESSES as PROCESSES,
    SCHEDULES as SCHEDULES,
    Cosine as Cosine,
    Discrete as Discrete,
    Geometric as Geometric,
    Given as Given,
    Karras as Karras,
    Levels as Levels,
    Linear as Linear,
    LogNormal as LogNormal,
    Process as Process,
    Softened as Softened,
    SubVariancePreserving as SubVariancePreserving,
    UniformTime as UniformTime,
    VariancePreserving as VariancePreserving,
    create_noise_schedule as create_noise_schedule,
)
from .parts import (
    Part as Part,
)
from .plan import (
    Plan as Plan,
    make_plan as make_plan,
)
from .plots import (
    plot_annealing as plot_annealing,
    plot_columns as plot_columns,
    plot_image_grid as plot_image_grid,
    plot_loss_by_level as plot_loss_by_level,
    plot_multiscale_scores as plot_multiscale_scores,
    plot_pairs as plot_pairs,
    plot_samples as plot_samples,
)
from .samplers import (
    DDIM as DDIM,
    IPNDM as IPNDM,
    ODE as ODE,
    SAMPLERS as SAMPLERS,
    Ancestral as Ancestral,
    AnnealedLangevin as AnnealedLangevin,
    ConsistentAnnealed as ConsistentAnnealed,
    DPMpp2M as DPMpp2M,
    FittedMultistep as FittedMultistep,
    Heun as Heun,
    Langevin as Langevin,
    Multistep as Multistep,
    PredictorCorrector as PredictorCorrector,
    ReverseSDE as ReverseSDE,
    Sampler as Sampler,
    State as State,
    annealed_langevin_dynamics as annealed_langevin_dynamics,
    fit_multistep as fit_multistep,
    sample as sample,
    trajectory as trajectory,
)
from .score import (
    ScoreModel as ScoreModel,
    denoised_from_score as denoised_from_score,
    noise_from_score as noise_from_score,
    score_from_denoised as score_from_denoised,
    score_from_noise as score_from_noise,
)

__version__: str
