"""Figures of score fields, samples and training; each function returns a matplotlib figure, and shows or saves none.

Figures belong to pyplot, so that ``plt.show()`` shows them in a script and a notebook shows them below the cell; there,
end the line with a semicolon, or the figure appears twice. All share one style, which leaves matplotlib's own untouched.
Data are blue and samples orange-red throughout (Okabe & Ito 2008), magnitudes viridis, errors cividis: colours that
colour-blind readers tell apart, and that keep their order in grey.
"""

from ncsn.plots.comparison import plot_quality_by_evaluations
from ncsn.plots.fields import plot_learned_and_exact, plot_multiscale_scores
from ncsn.plots.posteriors import pairs, plot_predictive, plot_ranks
from ncsn.plots.samples import plot_annealing, plot_image_grid, plot_samples
from ncsn.plots.tables import plot_columns, plot_pairs
from ncsn.plots.training import plot_loss_by_level, plot_training_curve

__all__ = [
    "pairs",
    "plot_annealing",
    "plot_columns",
    "plot_image_grid",
    "plot_learned_and_exact",
    "plot_loss_by_level",
    "plot_multiscale_scores",
    "plot_pairs",
    "plot_predictive",
    "plot_quality_by_evaluations",
    "plot_ranks",
    "plot_samples",
    "plot_training_curve",
]
