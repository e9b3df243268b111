"""Metrics of a million events beside scikit-learn, both in one process, taking turns: ms per call, and the ratio.

python benchmarks/metrics.py --events 1000000
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

import harness
import trigrad as tg
from harness import table
from trigrad import metrics

Call = Callable[[], Any]


def cases(n: int, sk: Any, calibration: Any) -> dict[str, tuple[Call, Call | None]]:
    """Name -> ours and theirs, on the same events: scores of a binary classifier, of 5 classes, and a regression."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    score = rng.normal(size=n) + y
    narrow = score.astype(np.float32)
    ties = np.round(score, 2)
    probability = 1 / (1 + np.exp(-score))
    w = rng.random(n)
    y5 = rng.integers(0, 5, n)
    p5 = rng.random((n, 5)) + np.eye(5)[y5] / 2
    p5 /= p5.sum(1, keepdims=True)
    guess = p5.argmax(1)
    names = np.array(list("abcde"))[y5]
    true, pred = rng.normal(size=n), rng.normal(size=n)

    def both(name: str, *arguments: Any, of: Any = sk, **options: Any) -> tuple[Call, Call | None]:
        ours = getattr(metrics, name)
        theirs = getattr(of, name, None) if of is not None else None
        return (
            lambda: ours(*arguments, **options),
            None if theirs is None else lambda: theirs(*arguments, **options),
        )

    return {
        "roc_curve": both("roc_curve", y, score),
        "roc_curve, float32": both("roc_curve", y, narrow),
        "roc_curve, 1,000 distinct scores": both("roc_curve", y, ties),
        "roc_curve, weighted": both("roc_curve", y, score, sample_weight=w),
        "roc_auc_score": both("roc_auc_score", y, score),
        "roc_auc_score, float32": both("roc_auc_score", y, narrow),
        "roc_auc_score, weighted": both("roc_auc_score", y, score, sample_weight=w),
        "roc_auc_score, 5 classes, ovr": both("roc_auc_score", y5, p5, multi_class="ovr"),
        "roc_auc_score, 5 classes, ovo": both("roc_auc_score", y5, p5, multi_class="ovo"),
        "precision_recall_curve": both("precision_recall_curve", y, score),
        "average_precision_score": both("average_precision_score", y, score),
        "accuracy_score": both("accuracy_score", y5, guess),
        "accuracy_score, weighted": both("accuracy_score", y5, guess, sample_weight=w),
        "top_k_accuracy_score, 5 classes": both("top_k_accuracy_score", y5, p5, k=2),
        "confusion_matrix, 5 classes": both("confusion_matrix", y5, guess),
        "confusion_matrix, strings": both("confusion_matrix", names, names),
        "f1_score, macro": both("f1_score", y5, guess, average="macro"),
        "log_loss": both("log_loss", y, probability),
        "log_loss, 5 classes": both("log_loss", y5, p5),
        "brier_score_loss": both("brier_score_loss", y, probability),
        "calibration_curve": both("calibration_curve", y, probability, of=calibration, n_bins=20),
        "r2_score": both("r2_score", true, pred),
        "r2_score, weighted": both("r2_score", true, pred, sample_weight=w),
        "mean_absolute_error": both("mean_absolute_error", true, pred),
        "mean_squared_error": both("mean_squared_error", true, pred),
        "median_absolute_error": both("median_absolute_error", true, pred),
        "explained_variance_score": both("explained_variance_score", true, pred),
        "working_point at 100 kHz": both("working_point", y, score, rate_khz=100.0),
        "significance_scan": both("significance_scan", y, score, background_uncertainty=0.1),
        "bootstrap of the area, 10 resamples": both(
            "bootstrap_interval", metrics.roc_auc_score, y, score, strata=y, resamples=10
        ),
    }


def agree(ours: Any, theirs: Any) -> bool:
    pairs = zip(ours, theirs, strict=True) if isinstance(ours, tuple) else [(ours, theirs)]
    return all(np.allclose(a, b, rtol=1e-7, equal_nan=True) for a, b in pairs)


def timed(calls: dict[str, Call], blocks: int) -> dict[str, list[float]]:
    """Milliseconds per call, the libraries taking turns; the first round only warms up."""
    times: dict[str, list[float]] = {who: [] for who in calls}
    for _ in range(blocks + 1):
        for who, call in calls.items():
            start = time.perf_counter()
            call()
            times[who].append(1e3 * (time.perf_counter() - start))
    return {who: found[1:] for who, found in times.items()}


def main() -> None:
    parser: argparse.ArgumentParser = harness.arguments(__doc__ or "")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--only", type=harness.words, help="cases whose name holds one of these")
    a = parser.parse_args()
    sk: Any
    calibration: Any
    try:
        import sklearn.metrics as sk
        from sklearn import calibration
    except ImportError:
        print("scikit-learn is not here: ours alone")
        sk = calibration = None
    n, blocks = (1000, 2) if a.quick else (a.events, a.blocks)
    rows: list[dict[str, Any]] = []
    for threads in a.threads:
        tg.set_num_threads(threads)
        cells: list[list[float | str | None]] = []
        for name, (ours, theirs) in cases(n, sk, calibration).items():
            if a.only and not any(part in name for part in a.only):
                continue
            calls = {"trigrad": ours} | ({} if theirs is None else {"scikit-learn": theirs})
            with warnings.catch_warnings(), harness.locked(a.lock):
                warnings.simplefilter("ignore")
                right = theirs is None or agree(ours(), theirs())
                times = timed(calls, blocks)
            row: dict[str, Any] = {"case": name, "threads": threads, "events": n, "agree": right}
            row |= {who: median(found) for who, found in times.items()}
            if theirs is not None:
                each = [b / o for o, b in zip(times["trigrad"], times["scikit-learn"], strict=True)]
                row["ratio"] = median(each)
                row["range"] = [min(each), max(each)]
            rows.append(row)
            ratio = f"{row['ratio']:.1f} ({min(each):.1f}-{max(each):.1f})" if theirs is not None else "-"
            cells.append([name, row["trigrad"], row.get("scikit-learn"), ratio if right else "answers differ"])
        print(f"\n{n:,} events, ms, {threads} thread{'s' if threads > 1 else ''}")
        print(table(["case", "trigrad", "scikit-learn", "ratio"], cells), flush=True)
    harness.save(a.out, "metrics", rows)


if __name__ == "__main__":
    main()
