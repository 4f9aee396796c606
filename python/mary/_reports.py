"""What convert, validate and inspect return. Field names are those of the command's JSON reports (docs/cli.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ._library import decoded

__all__ = [
    "ActivationReport", "CalibrationReport", "Closeness", "ComparedLayer", "ConvertReport", "FloatNodeReport", "GoalPoint", "GoalReport", "Inspection",
    "InspectedLayer", "LayerReport", "ValidatedModel", "Validation", "Value",
]  # fmt: skip


@dataclass(frozen=True)
class LayerReport:
    """What became of one layer."""

    name: str
    """Of the node, in the model as it was given."""
    op_type: str
    weight: str
    """Name of the weight tensor; "" when it is no constant."""
    method: str
    """That chose the levels; "" when not quantised."""
    note: str
    """Why it was skipped, or what was done other than asked; ""."""
    levels: int
    bits: int
    """0 when not quantised."""
    shared: bool
    """One set of levels for all rows."""
    model_levels: bool
    """Which is that of other layers, too."""
    repeated: bool
    """The weight is another layer's, counted there."""
    rows: int
    row_length: int
    weights: int
    bytes_before: int
    bytes_after: int
    sqnr: float
    """dB; inf: exact; 0 when not quantised."""

    @property
    def quantised(self) -> bool:
        return self.bits > 0

    @classmethod
    def of(cls, c: Any) -> LayerReport:
        return cls(
            decoded(c.name), decoded(c.op_type), decoded(c.weight), decoded(c.method), decoded(c.note), c.levels, c.bits, c.shared,
            c.model_levels, c.repeated, c.rows, c.row_length, c.weights, c.bytes_before, c.bytes_after, c.sqnr,
        )  # fmt: skip


@dataclass(frozen=True)
class GoalPoint:
    """A model that was converted, with its size as a file, and how it does on the samples that judge."""

    levels: int | None
    """M of all layers; None: mixed."""
    first_and_last_levels: int | None
    bytes: int
    divergence: float | None
    """Mean Kullback-Leibler divergence of the class probabilities; None: no class scores."""
    output_error: float
    """Squared error of the outputs over their energy."""
    agreement: float | None
    """Part of the samples with the same best class as in float."""
    accuracy: float | None
    """None: no labels."""
    drop_points: float
    """Percentage points of accuracy that are lost; without labels, of agreement; nan without class scores."""
    drop_deviation: float
    """Its standard error."""

    @classmethod
    def of(cls, c: Any) -> GoalPoint:
        def part(value: float) -> float | None:
            return value if value >= 0 else None

        levels = c.levels or None
        return cls(
            levels, 256 if c.ends_finer else levels, c.bytes, part(c.divergence), c.error, part(c.agreement), part(c.accuracy), c.drop,
            c.drop_deviation,
        )  # fmt: skip


@dataclass(frozen=True)
class GoalReport:
    """What a goal led to."""

    samples: int
    samples_measured: int
    """That layers were measured with."""
    samples_judging: int
    """That points are compared on."""
    labelled: bool
    float_bytes: int
    target_bytes: int | None
    """None: the goal was a drop."""
    float_accuracy: float | None
    mixed: GoalPoint
    uniform: GoalPoint | None
    """The best that one M for all layers gives; None: it does not meet the goal."""
    written: str
    """"mixed" or "uniform"."""
    frontier: list[GoalPoint]
    """All that was converted and measured, by bytes."""

    @classmethod
    def of(cls, c: Any, points: list[GoalPoint]) -> GoalReport:
        return cls(
            c.samples, c.measured, c.judging, c.labelled, c.float_bytes, c.target_bytes or None,
            c.float_accuracy if c.float_accuracy >= 0 else None, GoalPoint.of(c.mixed), GoalPoint.of(c.uniform) if c.has_uniform else None,
            "uniform" if c.took_uniform else "mixed", points,
        )  # fmt: skip


@dataclass(frozen=True)
class ActivationReport:
    """Tensors that share a scale, when activations are bytes."""

    name: str
    method: str
    note: str
    tensors: int
    least: float
    most: float
    """Seen during calibration."""
    low: float
    high: float
    """The range that is stored."""
    scale: float
    zero_point: int

    @classmethod
    def of(cls, c: Any) -> ActivationReport:
        return cls(
            decoded(c.name), decoded(c.method), decoded(c.note), c.tensors, c.least, c.most, c.low, c.high, c.scale, c.zero_point
        )


@dataclass(frozen=True)
class FloatNodeReport:
    """A node that computes in float although activations are bytes."""

    name: str
    op_type: str
    reason: str

    @classmethod
    def of(cls, c: Any) -> FloatNodeReport:
        return cls(decoded(c.name), decoded(c.op_type), decoded(c.reason))


@dataclass(frozen=True)
class CalibrationReport:
    """What calibration led to."""

    runs: int
    method: str
    bias_correction: bool
    equalization: bool
    output_error: float | None
    """Of the outputs on the samples: squared error over energy; None: not measured."""
    agreement: float | None
    """Part of the samples with the same best class; None: not measured, or no class scores."""

    @classmethod
    def of(cls, c: Any) -> CalibrationReport:
        return cls(
            c.runs, decoded(c.method), c.bias_correction, c.equalization, c.error if c.error >= 0 else None, c.agreement if c.agreement >= 0 else None
        )


@dataclass
class ConvertReport:
    """What a conversion did."""

    file_bytes_before: int
    file_bytes_after: int
    """Of the serialised models, external data included."""
    weights: int
    weights_quantised: int
    weight_bytes_before: int
    weight_bytes_after: int
    bits_per_weight: float
    """Levels and float layers included."""
    layers: list[LayerReport]
    activations: list[ActivationReport]
    float_nodes: list[FloatNodeReport]
    calibration: CalibrationReport | None
    """None when activations are float."""
    warnings: list[str]
    goal: GoalReport | None = None
    """None when M was stated."""
    model: bytes | None = field(default=None, repr=False)
    """The converted model, when it was not written anywhere."""


@dataclass(frozen=True)
class Closeness:
    """How close an array is to its reference, over all samples."""

    cosine: float
    sqnr_db: float
    """inf: no error; NaN: nothing finite was compared."""
    max_abs: float
    elements: int
    not_finite: int
    """Elements that are finite in only one of the models; left out of the others."""

    @classmethod
    def of(cls, c: Any) -> Closeness:
        return cls(c.cosine, c.sqnr, c.max_abs, c.elements, c.not_finite)


@dataclass(frozen=True)
class ValidatedModel:
    """One of the models of a validation. Accuracy is None without labels."""

    path: str
    file_bytes: int
    create_milliseconds: float
    milliseconds_per_sample: float
    top1_percent: float | None
    top5_percent: float | None
    samples_with_nan: int | None
    """They count as wrong."""


@dataclass(frozen=True)
class ComparedLayer:
    """A layer of the last model."""

    node: str
    operator: str
    output: str
    """The value by which layers of the two models are matched."""
    coded: bool
    shared: bool
    """The weight is an earlier layer's, counted there."""
    levels: int
    bits: int
    levels_per_row: bool
    weights: int
    bytes_before: int
    bytes_after: int
    difference: Closeness | None
    """Of its output, both models fed the same samples; None: not compared."""


@dataclass(frozen=True)
class Validation:
    """What a validation found out."""

    samples: int
    models: list[ValidatedModel]
    """The reference, and what it became."""
    agreement_percent: float | None
    """Samples for which both models choose the same class; None with one model, or without class scores."""
    drop_points: float | None
    """Percentage points of top-1 that the second model loses; None without labels or with one model."""
    outputs: dict[str, Closeness]
    layers: list[ComparedLayer]
    layer_samples: int


@dataclass(frozen=True)
class Value:
    """An input or output: "float[N,3,224,224]"."""

    name: str
    type: str


@dataclass(frozen=True)
class InspectedLayer:
    """A layer with weights."""

    name: str
    op_type: str
    weight_shape: list[int]
    weights: int
    bytes: int
    shared_weight: bool
    """Counted with an earlier layer."""
    quantised: bool
    type: str
    """Of the levels, or of the float weight."""
    levels: int = 0
    bits: int = 0
    granularity: str = ""
    """"tensor" or "channel"; "" when not quantised."""


@dataclass(frozen=True)
class Inspection:
    """What is in a model."""

    file: str
    file_bytes: int
    ir_version: int
    opsets: dict[str, int]
    producer: str
    inputs: list[Value]
    outputs: list[Value]
    operators: dict[str, int]
    layers: list[InspectedLayer]
    weights: int
    weight_bytes: int
    tensor_bytes: int
    bits_per_weight: float
