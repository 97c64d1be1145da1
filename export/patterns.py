"""What each fused operator computes, in standard ONNX operators; `export/tir` computes the same in one pass."""

from edgegen.export.notation import Pattern

ROW_QUANTISE = """
absolute = Abs(x)
most = ReduceMax(absolute, [-1], keepdims=1)
largest = Max(most, 1e-30)
inverse = Div(127.0, largest)
scale = Mul(largest, 0.007874015718698502)
wide = Mul(x, inverse)
rounded = Round(wide)
q = Cast(rounded, to=3)
"""

LOGISTIC = """
negative = Neg(x)
power = Exp(negative)
above = Add(power, 1.0)
y = Div(1.0, above)
"""

SIGMOID = """
y = Sigmoid(x)
"""

EMBEDDING = """
q = Gather(table, token, axis=0)
scale = Gather(table_scale, token, axis=0)
wide = Cast(q, to=1)
column = Unsqueeze(scale, [-1])
x = Mul(wide, column)
"""

LINEAR = """
total = MatMulInteger(q, weight)
wide = Cast(total, to=1)
scaled = Mul(wide, scale)
y = Mul(scaled, weight_scale)
"""

ADDED_LINEAR = """
plain = Linear(q, scale, weight, weight_scale)
y = Add(plain, added)
"""

# The same linears where nothing is quantised.
GEMM = "alpha=1.0, beta=1.0, transA=0, transB=1"

FLOAT_LINEAR = f"""
y = Gemm(x, weight, {GEMM})
"""

BIASED_FLOAT_LINEAR = f"""
y = Gemm(x, weight, added, {GEMM})
"""

ADDED_FLOAT_LINEAR = """
plain = FloatLinear(x, weight)
y = Add(plain, added)
"""

# Softplus as PyTorch exports it: the identity above 20, where log(1 + e^x) rounds to x.
SOFTPLUS = """
soft = Softplus(y)
above = Greater(y, 20.0)
positive = Where(above, y, soft)
"""

SOFTPLUS_LINEAR = f"""
y = AddedLinear(q, scale, weight, weight_scale, bias)
{SOFTPLUS}
"""

SOFTPLUS_FLOAT_LINEAR = f"""
y = AddedFloatLinear(x, weight, bias)
{SOFTPLUS}
"""

NORM = """
square = Mul(x, x)
mean = ReduceMean(square, [-1], keepdims=1)
shifted = Add(mean, eps)
root = Sqrt(shifted)
inverse = Reciprocal(root)
unit = Mul(x, inverse)
y = Mul(unit, gain)
"""

GATE = """
gate, up = Split(x, axis=1, num_outputs=2)
open = Logistic(gate)
silu = Mul(gate, open)
y = Mul(silu, up)
"""

ROTATE = """
{x}_low, {x}_high = Split({x}_heads, axis=2, num_outputs=2)
{x}_1 = Mul({x}_low, cos)
{x}_2 = Mul({x}_high, sin)
{x}_new_low = Sub({x}_1, {x}_2)
{x}_3 = Mul({x}_high, cos)
{x}_4 = Mul({x}_low, sin)
{x}_new_high = Add({x}_3, {x}_4)
{x}_turned = Concat({x}_new_low, {x}_new_high, axis=-1)
"""

ATTENTION = f"""
cos_row = Gather(cos_table, position, axis=0)
cos = Unsqueeze(cos_row, [1])
sin_row = Gather(sin_table, position, axis=0)
sin = Unsqueeze(sin_row, [1])
column = Unsqueeze(position, [-1])
at = Equal(slots, column)
here = Unsqueeze(at, [-1])
before = LessOrEqual(slots, column)
seen = Unsqueeze(before, [1, 2])
q, k, v = Split(qkv, axis=1, num_outputs=3)
q_heads = Reshape(q, heads_shape)
{ROTATE.format(x="q")}
k_heads = Reshape(k, heads_shape)
{ROTATE.format(x="k")}
k_row = Reshape(k_turned, row_shape)
next_key = Where(here, k_row, key)
v_row = Reshape(v, row_shape)
next_value = Where(here, v_row, value)
keys = Reshape(next_key, cache_shape)
keys_by_head = Transpose(keys, perm=[0, 2, 3, 1])
values = Reshape(next_value, cache_shape)
values_by_head = Transpose(values, perm=[0, 2, 1, 3])
queries = Reshape(q_turned, query_shape)
products = MatMul(queries, keys_by_head)
scores = Mul(products, temperature)
masked = Where(seen, scores, -1e9)
weights = Softmax(masked, axis=-1)
mixed = MatMul(weights, values_by_head)
y = Reshape(mixed, out_shape)
"""

CONV = """
first = Equal(position, 0)
first_row = Unsqueeze(first, [-1])
fresh = Unsqueeze(first_row, [-1])
past = Where(fresh, 0.0, conv)
newest = Unsqueeze(u, [-1])
window = Concat(past, newest, axis=-1)
products = Mul(window, weight)
total = ReduceSum(products, [-1], keepdims=0)
shifted = Add(total, bias)
open = Logistic(shifted)
y = Mul(shifted, open)
next_conv = Slice(window, [1], [9223372036854775807], [2], [1])
"""

SCAN = """
first = Equal(position, 0)
first_row = Unsqueeze(first, [-1])
fresh = Unsqueeze(first_row, [-1])
delta_column = Unsqueeze(delta, [-1])
exponent = Mul(delta_column, A)
decay = Exp(exponent)
past = Where(fresh, 0.0, ssm)
kept = Mul(decay, past)
scaled = Mul(delta, u)
scaled_column = Unsqueeze(scaled, [-1])
B_row = Unsqueeze(B, [1])
added = Mul(scaled_column, B_row)
next_ssm = Add(kept, added)
C_row = Unsqueeze(C, [1])
read = Mul(next_ssm, C_row)
total = ReduceSum(read, [-1], keepdims=0)
skip = Mul(D, u)
sum = Add(total, skip)
open = Logistic(z)
gate = Mul(z, open)
y = Mul(sum, gate)
"""

SOFTMAX = """
y = Softmax(x, axis=-1)
"""

LOOKUP = """
y = Gather(table, position, axis=0)
"""

PATH = """
first = Equal(position, 0)
fresh = Unsqueeze(first, [-1])
past = Where(fresh, 0.0, guess)
y = Concat(codes, past, axis=1)
"""

REFINE = """
way = Sub(guess, codes)
share = Gather(shares, position, axis=0)
part = Mul(way, share)
next_codes = Add(codes, part)
"""

LINEAR_INPUTS = ("q", "scale", "weight", "weight_scale")


def _quantised(form: Pattern) -> Pattern:
    """`form`, whose first output is a row y, ending in the levels of y; y itself stays where it is read elsewhere."""
    y, *rest = form.outputs
    kept = (y,) if form.op == "Conv" else ()
    outputs, inputs = ", ".join(form.outputs), ", ".join(form.inputs)
    source = f"{outputs} = {form.op}({inputs})\nlevels, scale = RowQuantise({y})"
    return Pattern(f"{form.op}Quantise", form.inputs, (*kept, "levels", "scale", *rest), source)


# What ends in a row, which is quantised where the product that reads it is one of integers.
ROWS = (
    Pattern("Norm", ("x", "gain", "eps"), ("y",), NORM),
    Pattern("Gate", ("x",), ("y",), GATE),
    Pattern(
        "Attention",
        ("qkv", "cos_table", "sin_table", "position", "temperature", "heads_shape", "key", "value"),
        ("y", "next_key", "next_value"),
        ATTENTION,
    ),
    Pattern("Conv", ("u", "weight", "bias", "position", "conv"), ("y", "next_conv"), CONV),
    Pattern("Scan", ("delta", "u", "z", "B", "C", "A", "D", "position", "ssm"), ("y", "next_ssm"), SCAN),
    Pattern("Path", ("codes", "guess", "position"), ("y",), PATH),
    Pattern("Softmax", ("x",), ("y",), SOFTMAX),
)

# In this order: later patterns are written in terms of earlier ones.
PATTERNS = (
    # Before linears, whose sums with something else are theirs.
    Pattern("Refine", ("guess", "codes", "shares", "position"), ("next_codes",), REFINE),
    Pattern("RowQuantise", ("x",), ("q", "scale"), ROW_QUANTISE),
    Pattern("Logistic", ("x",), ("y",), LOGISTIC),
    Pattern("Logistic", ("x",), ("y",), SIGMOID),
    Pattern("Embedding", ("table", "table_scale", "token"), ("x",), EMBEDDING),
    Pattern("Linear", LINEAR_INPUTS, ("y",), LINEAR),
    Pattern("AddedLinear", (*LINEAR_INPUTS, "added"), ("y",), ADDED_LINEAR),
    Pattern("SoftplusLinear", (*LINEAR_INPUTS, "bias"), ("positive",), SOFTPLUS_LINEAR),
    Pattern("FloatLinear", ("x", "weight"), ("y",), FLOAT_LINEAR),
    Pattern("AddedFloatLinear", ("x", "weight", "added"), ("y",), BIASED_FLOAT_LINEAR),
    Pattern("AddedFloatLinear", ("x", "weight", "added"), ("y",), ADDED_FLOAT_LINEAR),
    Pattern("SoftplusFloatLinear", ("x", "weight", "bias"), ("positive",), SOFTPLUS_FLOAT_LINEAR),
    *ROWS,
    *map(_quantised, ROWS),
    Pattern("Lookup", ("table", "position"), ("y",), LOOKUP),
)
