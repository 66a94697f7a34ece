# %% [markdown]
# # 1 Score estimation and the low-density problem
# {{badge}}
#
# text

# %%
# {{setup}}

# %%
import torch

from ncsn.learn import check, quiz


# %%
def gaussian_score(x, mean, std):
    """Return the score."""
    ### BEGIN SOLUTION
    return (mean - x) / std**2
    ### END SOLUTION


# %%
gaussian_score = check("1.1", gaussian_score).use


# %%
def mixture_score(x, weights, means, std):
    """Return the score."""
    ### BEGIN SOLUTION
    offsets = means - x[:, None, :]
    logits = weights.log() - offsets.square().sum(-1) / (2 * std**2)
    return (torch.softmax(logits, dim=1)[..., None] * offsets).sum(1) / std**2
    ### END SOLUTION


# %%
mixture_score = check("1.2", mixture_score).use

# %% [markdown]
# {{question 1.a}}

# %%
quiz("1.a", "c")  ### SOLUTION "c"
