"""Lines of random programs: loops, branches, random draws, run-time lengths, sparse matrices, linear algebra, Python
operations. See fuzz_grower.py."""

from __future__ import annotations

import random
from collections.abc import Callable

from fuzz_program import Program, Value


class StructureMakers:
    rng: random.Random
    smooth: bool
    program: Program
    values: list[Value]
    pick: Callable[..., Value | None]
    partner: Callable[..., str]
    lengths: list[int]
    run: Callable
    fresh: Callable[[], str]
    input: Callable[..., None]

    def structures(self) -> list[tuple[Callable[[], str | None], int]]:
        return [
            (self.loop, 3), (self.recurrent, 3), (self.branch, 3), (self.draw, 2), (self.mask, 2), (self.until, 1),
            (self.sparse, 2), (self.linalg, 1), (self.host, 1), (self.counted, 1), (self.attention, 1), (self.loss, 2),
            (self.chained, 2), (self.pooled, 2), (self.placed, 3), (self.pointed, 3),
        ]  # fmt: skip

    def loop(self) -> str | None:
        rng = self.rng
        v = self.pick("f", least=1)
        if v is None or v.shape[0] > 40 or v.array.size > 2000:
            return None
        rest = f"{v.name}[0]" if v.shape[0] else None
        kind = rng.choice(["map", "fold", "state", "taps", "sequence taps", "last", "backwards", "random", "two"])
        f = rng.choice(["T.tanh({})", "{} * 0.5", "T.sigmoid({}) + 0.25", "T.sqr({}) * 0.125"])
        inner = rng.choice(["a * 0.5 + x", "T.maximum(a, x) - 0.25 * a", "(a - x) * 0.5"])
        back = ", go_backwards=True" if kind == "backwards" or rng.random() < 0.15 else ""
        count = f", n_steps={v.name}.shape[0] // 2" if rng.random() < 0.2 else ""
        end = rng.choice(["", "", "[-1]", "[1:]"])
        if kind == "map":
            extra = self.pick("f")
            if extra is not None and rng.random() < 0.5 and extra.name != v.name:
                return (
                    f"weft.scan(lambda x, c: {f.format('x')} * T.sum(c), sequences=[{v.name}], "
                    f"non_sequences=[{extra.name}]{back}{count})[0]"
                )
            return f"weft.map(lambda x: {f.format('x')} + T.sum(x), [{v.name}])[0]"
        if kind == "two":
            return (
                f"weft.scan(lambda x, a: [{f.format(inner)}, T.exp(-a * a)], sequences=[{v.name}], "
                f"outputs_info=[T.zeros_like({rest}), None]{back}{count})[0][{rng.randrange(2)}]{end}" if rest else None
            )  # fmt: skip
        if rest is None:
            return None
        if kind == "fold":
            return f"weft.foldl(lambda x, a: {f.format(inner)}, {v.name}, {rest} * 0.5)[0]"
        if kind == "taps":
            if v.shape[0] < 2:
                return None
            return (
                f"weft.scan(lambda x, b, a: {f.format(inner)} - 0.25 * b, sequences=[{v.name}], "
                f"outputs_info=[dict(initial={v.name}[:2], taps=[-2, -1])]{back}{count})[0]{end}"
            )  # fmt: skip
        if kind == "sequence taps":
            if v.shape[0] < 3:
                return None
            return (
                f"weft.scan(lambda x, y, a: {f.format(inner)} + y, sequences=[dict(input={v.name}, taps=[0, -1])], "
                f"outputs_info=[T.zeros_like({rest})]{back})[0]{end}"
            )  # fmt: skip
        if kind == "random":
            draw = f"RandomStreams({rng.randrange(99)}).uniform(dtype={v.dtype!r})"
            if v.dtype not in ("float32", "float64"):
                return None
            if rng.random() < 0.4:  # drawn by a loop inside the loop
                draw = f"weft.scan(lambda b: b * {draw}, outputs_info=[T.exp(-x * x)], n_steps=2)[0][-1]"
            return (
                f"weft.scan(lambda x, a: {f.format(inner)} * {draw}, sequences=[{v.name}], "
                f"outputs_info=[T.zeros_like({rest})])[0]{end}"
            )  # fmt: skip
        return (
            f"weft.scan(lambda x, a: {f.format(inner)}, sequences=[{v.name}], "
            f"outputs_info=[{rest} * 0.5]{back}{count})[0]{'[-1]' if kind == 'last' else end}"
        )  # fmt: skip

    def recurrent(self) -> str | None:
        """Loops with products: of a sequence's elements, of states, added up, not read; gates of a product."""
        rng = self.rng
        v = self.pick("f", least=2)
        if v is None or v.ndim != 2 or v.dtype not in ("float32", "float64"):
            return None
        if not 0 < v.shape[1] <= 12 or v.shape[0] > 30:
            return None
        n = v.shape[1]
        weights = f"(T.tanh(T.dot({v.name}.T, {v.name})) * 0.25)"
        start = f"T.zeros_like({weights}[0])"
        kind = rng.choice(["plain", "turned", "gates", "added", "beside", "alone"])
        back = ", go_backwards=True" if rng.random() < 0.3 else ""
        if kind == "alone":
            return f"weft.map(lambda x, w: T.dot(x, w), [{v.name}], [{weights}]{back})[0]"
        if kind == "added":
            column, row = "x.dimshuffle(0, 'x')", "T.exp(-x * x).dimshuffle('x', 0)"
            term = rng.choice(["T.outer(x, T.sin(x))", f"T.dot({column}, {row}).T"])
            return (
                f"weft.scan(lambda x, s: s * 1 + {term}, sequences=[{v.name}], "
                f"outputs_info=[{weights}]{back})[0][-1]"
            )
        step = {
            "plain": "T.tanh(T.dot(x, w) + T.dot(h, w))",
            "turned": "T.tanh(T.dot(w, x) + T.dot(h, w.T))",
            "beside": "(T.tanh(T.dot(h, w) + x), T.dot(T.sigmoid(h), w))",
            "gates": f"T.concatenate([T.sigmoid((T.dot(h, w) + x)[:{n // 2}]) * h[:{n // 2}], "
                     f"T.tanh((T.dot(h, w) + x)[{n // 2}:]) - h[{n // 2}:]])",
        }[kind]  # fmt: skip
        infos, item = (f"[{start}, None]", f"[{rng.randrange(2)}]") if kind == "beside" else (f"[{start}]", "")
        return (
            f"weft.scan(lambda x, h, w: {step}, sequences=[{v.name}], outputs_info={infos}, "
            f"non_sequences=[{weights}]{back})[0]{item}{rng.choice(['', '[-1]'])}"
        )

    def chained(self) -> str | None:
        """One thing done again and again: lengths that rest on lengths, values read at more places each time."""
        rng = self.rng
        v = self.pick("f", least=1)
        if v is None or not 0 < v.shape[0] <= 60 or v.array.size > 600:
            return None
        link = rng.choice(
            [
                "T.concatenate([v[1:], v[:1] * 0.5])", "T.concatenate([v[::-1], v[:1]])", "v[v.shape[0] // 4 :]",
                "T.tanh(v[v.shape[0] // 5 :]) - 0.25", "v[:-1] * 0.5 + v[1:]", "T.set_subtensor(v[1:], v[:-1] * 0.5)",
                "T.concatenate([v[: v.shape[0] // 2] + 1, v[v.shape[0] // 2 :] * 0.5])", "T.tanh(v - T.mean(v))",
            ]
        )  # fmt: skip
        text = v.name
        for _ in range(rng.randrange(3, 7)):
            text = f"f({text})"
        return f"(lambda f: {text})(lambda v: {link})"

    def until(self) -> str | None:
        v = self.pick("f", exact=True)
        if v is None or v.array.size > 500 or self.smooth:
            return None
        bound = self.rng.choice([1, 10, 40])
        return (
            f"!weft.scan(lambda a: (a * 2 + 1, until(T.sum(abs(a)) > {bound})), outputs_info=[{v.name}], "
            f"n_steps={self.rng.choice([1, 4, 9])})[0]{self.rng.choice(['', '[-1]'])}"
        )

    def branch(self) -> str | None:
        rng = self.rng
        v = self.pick("f", "i", "u", "b", "c")
        if v is None:
            return None
        exact = self.pick("f", "i", "u", exact=True)
        c = f"T.sum({exact.name}) > {rng.choice([0, 1, -2])}" if exact is not None and exact.exact else "True"
        if exact is not None and exact.ndim and rng.random() < 0.3:
            c = f"{exact.name}.shape[0] > 4"
        fits = [
            w for w in self.values if w.kind == v.kind and w.kind != "s" and w.dtype == v.dtype and w.ndim == v.ndim
        ]
        w = rng.choice(fits)
        if v.ndim and rng.random() < 0.3 and not self.smooth:
            return f"!ifelse({c}, {v.name}, {v.name}[1:])"
        if v.kind == "f":
            other = f"T.tanh({w.name})" if rng.random() < 0.5 else f"T.exp(-abs({w.name}))"
            if rng.random() < 0.3:
                return f"ifelse({c}, [{v.name}, {other}], [{other}, {v.name} * 2])[{rng.randrange(2)}]"
            return f"ifelse({c}, {v.name} * 0.5, {other})"
        return f"!ifelse({c}, {v.name}, {w.name})"

    def draw(self) -> str | None:
        rng = self.rng
        v = self.pick()
        if v is None or v.ndim > 3:
            return None
        size = f"({''.join(f'{v.name}.shape[{a}], ' for a in range(v.ndim))})"
        source = f"RandomStreams({rng.randrange(1000)})"
        dtype = "float64" if self.smooth else rng.choice(["float32", "float64"])
        kind = rng.choice(["normal", "uniform", "uniform", "binomial", "range"])
        if kind == "binomial":
            return f"!{source}.binomial({size}, n=1, p=0.5, dtype={dtype!r}){f' * {v.name}' if v.kind in 'fiu' else ''}"
        if kind == "range":
            return f"{source}.uniform({size}, low=-1.0, high=2.0, dtype={dtype!r})"
        return f"{source}.{kind}({size}, dtype={dtype!r})"

    def mask(self) -> str | None:
        """Lengths that only running tells."""
        rng = self.rng
        v = self.pick("f", "i", "u", "b", exact=True, least=1)
        if v is None or self.smooth:
            return None
        c = v.name if v.kind == "b" else f"{v.name} > {rng.choice([0, 1, -2])}"
        kind = rng.choice(["mask", "nonzero", "write", "length", "rows", "nonzero"])
        if kind == "nonzero":
            return f"T.nonzero({c})[{rng.randrange(v.ndim)}]"
        if kind == "length":
            return f"!T.alloc(2.0, T.nonzero({c})[0].shape[0]) * 1.5"
        if kind == "rows" and v.ndim > 1:
            return f"!{v.name}[T.nonzero(({c})[:, 0])[0]]"
        if kind == "write" and v.kind != "b":
            return f"!T.{rng.choice(['set', 'inc'])}_subtensor({v.name}[({c}).nonzero()], 3)"
        return f"!{v.name}[{c}]" if v.kind == "b" else f"!{v.name}[({c}).nonzero()] * 2"

    def counted(self) -> str | None:
        """Lengths made of values."""
        v = self.pick("i", "u", exact=True)
        if v is None or not v.array.size or self.smooth or v.dtype == "uint64":
            return None
        n = f"T.cast(abs(T.max({v.name})) % 6, 'int64')"
        w = self.pick("f", "i", least=1)
        choices = [f"!T.arange({n})", f"!T.zeros(({n}, 2)) + 1.0", f"!T.arange({n} + 3) * 2.5"]
        if w is not None:
            choices += [f"!{w.name}[:{n}]", f"!{w.name}[{n}:]"]
        return self.rng.choice(choices)

    def sparse(self) -> str | None:
        rng = self.rng
        sparse = [v for v in self.values if v.kind == "s"]
        if not sparse or rng.random() < 0.2:
            d = self.pick("f", exact=True, ndim=2)
            if d is not None and rng.random() < 0.3 and not self.smooth:
                return f"!weft.sparse.csr_from_dense({d.name})"
            v = self.pick("f", ndim=1)
            if v is not None and v.dtype in ("float32", "float64") and rng.random() < 0.5:  # stored elements computed
                n, columns, rows = len(v.array), rng.choice([1, 3, 4]), rng.choice([1, 2, 5])
                ends = sorted(rng.randint(0, n) for _ in range(rows - 1))
                places = [rng.randrange(columns) for _ in range(n)]
                kind = rng.choice(["int32", "int64"])
                return (
                    f"!weft.sparse.CSR({v.name}, np.array({places}, {kind!r}), np.array({[0, *ends, n]}, {kind!r}), "
                    f"({rows}, {columns}))"
                )
            return self.sparse_input()
        x = rng.choice(sparse)
        rows, columns = x.shape
        kind = rng.choice(["dot", "dot", "left", "dense", "sum", "data", "square", "times", "branch"])
        if kind in ("dot", "left"):
            axis, n = (0, columns) if kind == "dot" else (-1, rows)
            fits = [v for v in self.values if v.kind == "f" and 0 < v.ndim <= 2 and v.shape[axis] == n]
            if fits:
                v = rng.choice(fits)
                pair = f"{x.name}, {v.name}" if kind == "dot" else f"{v.name}, {x.name}"
                return f"!weft.sparse.structured_dot({pair})"
            numbers = f"np.random.default_rng({rng.randrange(99)}).integers(-4, 5, ({n}, 3)) / 4"
            dense = f"np.asarray({numbers}, {x.array.dtype.name!r})"
            pair = f"{x.name}, {dense}" if kind == "dot" else f"{dense}.T, {x.name}"
            return f"!weft.sparse.structured_dot({pair})"
        if kind == "sum":
            return f"!weft.sparse.sp_sum({x.name}, {rng.choice(['None', '0', '1'])})"
        if kind == "data":
            return f"!weft.sparse.csm_data({x.name}) * 2"
        if kind == "square":
            return f"!weft.sparse.structured_sqr({x.name})"
        if kind == "branch":
            least = rng.choice(["100", "-100"])
            return f"!ifelse(weft.sparse.sp_sum({x.name}) > {least}, {x.name}, weft.sparse.structured_sqr({x.name}))"
        if kind == "times":
            return f"weft.sparse.structured_sigmoid({x.name})"
        return f"!weft.sparse.dense_from_sparse({x.name})"

    def sparse_input(self) -> str | None:
        """An input of its own line, made here: declarations are not grown."""
        rng, name = self.rng, self.fresh()
        if sum(v.kind == "s" for v in self.values) > 2:
            return None
        dtype = "float64" if self.smooth else rng.choice(["float32", "float64"])
        shape = tuple(rng.choice([n for n in self.lengths if n < 100] or [3]) for _ in range(2))
        given = (
            f"w{name[1:]} = __import__('scipy.sparse').sparse.csr_matrix(np.asarray(np.random.default_rng("
            f"{rng.randrange(99)}).integers(-9, 5, {shape}).clip(0) / 4, {dtype!r}))"
        )
        declared = f"{name} = weft.sparse.csr_matrix({name!r}, dtype={dtype!r})"
        array = self.run(given)
        self.program.lines += [given, declared]
        self.program.inputs.append(name)
        self.program.values[name] = Value(name, self.run(declared), array, True)
        return None

    def linalg(self) -> str | None:
        rng = self.rng
        v = self.pick("f", ndim=2)
        if v is None or v.dtype not in ("float32", "float64") or not 0 < v.shape[0] <= 9 or v.shape[1] > 40:
            return None
        square = f"(T.dot({v.name}, {v.name}.T) * 0.0625 + T.cast(3 * T.eye({v.name}.shape[0]), {v.dtype!r}))"
        if rng.random() < 0.5:
            return f"T.slinalg.cholesky({square}, lower={rng.choice([True, True, False])})"
        fits = [
            w for w in self.values if w.kind == "f" and w.ndim == 2 and w.dtype == v.dtype and w.shape[0] == v.shape[0]
        ]
        b = rng.choice(fits).name
        return (
            f"T.slinalg.solve_triangular({square}, {b}, lower={rng.choice([True, False])}, trans={rng.choice([0, 1])})"
        )

    def host(self) -> str | None:
        rng = self.rng
        v = self.pick("f", "i", "b")
        if v is None or self.smooth:
            return None
        made = f"as_op([{v.name}.type], [{v.name}.type]"
        if rng.random() < 0.5 or not v.ndim:
            return f"!{made}, infer_shape=lambda node, shapes: shapes)(lambda a: a[()] + a)({v.name})"
        return f"!{made})(lambda a: a[::2].copy())({v.name})"

    def attention(self) -> str | None:
        v = self.pick("f", ndim=2)
        if v is None or v.dtype not in ("float32", "float64") or 0 in v.shape:
            return None
        inner = f"T.nnet.softmax(T.dot({v.name}, {v.name}.T) * 0.125)"
        return f"T.dot({inner}, {v.name})" if self.rng.random() < 0.7 else f"T.dot({inner}, T.tanh({v.name}))"

    def pooled(self) -> str | None:
        """Folds of few elements, as many as the text says: by windows side by side, and what is scaled by those."""
        rng = self.rng
        v = self.pick("f", "f", "i", "b", least=1)
        some = [(a, c) for a, n in enumerate(v.shape) for c in (2, 3, 4, 5, 8) if n and n % c == 0] if v else []
        if v is None or not some:
            return None
        axis, c = rng.choice(some)
        parts = [f"{v.name}.shape[{a}]" for a in range(v.ndim)]
        parts[axis : axis + 1] = [f"{parts[axis]} // {c}", str(c)]
        parted = f"{v.name}.reshape(({', '.join(parts)}))"
        if v.kind == "b":
            return f"!T.{rng.choice(['any', 'all'])}({parted}, axis={axis + 1})"
        folded = f"T.{rng.choice(['sum', 'max', 'min'])}({parted}, axis={axis + 1}{{}})"
        if v.kind == "f" and rng.random() < 0.4:
            return f"{parted} / (abs({folded.format(', keepdims=True')}) + 1)"
        return "!" + folded.format("")

    def placed(self) -> str | None:
        """Arithmetic of places: quotients by lengths, numbers that wrap, what is read there, choices between that."""
        rng = self.rng
        v, w = self.pick(least=1), self.pick(least=1)
        if v is None or w is None or not v.shape[0]:
            return None
        n, m = f"{v.name}.shape[0]", f"{w.name}.shape[0]"
        at = f"T.arange({n})"
        mixed = f"{at} * 6364136223846793005 + 1442695040888963407"
        number = rng.choice([
            f"{at} // ({n} // 4)", f"{at} % ({n} - 1)", f"{at} % {m}", f"{at} // ({m} - 2)", f"({mixed}) % {n}",
            f"({mixed}) // {n} % 9",
            f"T.maximum({n} * 4611686018427387903, 0) % 5 + {at}", f"({n} - 1 - {at}) // 2", f"{at} * {m} % 7",
        ])  # fmt: skip
        if not self.smooth and rng.random() < 0.25:
            return f"!{number}"
        read = f"{v.name}[({number}) % {n}]"
        if not self.smooth and rng.random() < 0.2:
            read = f"{v.name}[T.cast(({number}) % {n}, 'uint64')]"
        if rng.random() < 0.4:
            return f"!{read}"
        chosen = rng.choice([f"T.lt({at}, {m})", f"T.eq({at}, {n} // 2)", f"T.ge({at}, {n} - 3)", f"T.lt({number}, 2)"])
        rows = f"{chosen}.dimshuffle({', '.join(['0', *(repr('x') for _ in v.shape[1:])])})"
        return f"!T.switch({rows}, {read}, {rng.choice([v.name, '0', f'T.tanh({v.name})' if v.kind == 'f' else '2'])})"

    def pointed(self) -> str | None:
        """What an argument points at, unguarded: other calls (fuzz_calls.py) give places that there are not."""
        rng = self.rng
        v = self.pick(least=1)
        numbers = [u for u in self.values if u.name in self.program.inputs and u.kind in "iu" and u.ndim < 3]
        if self.smooth or v is None or v.shape[0] > 200:
            return None
        if not numbers:
            return self.input(rng.choice(["int64", "int32", "uint8", "int16"]))
        u, n = rng.choice(numbers), v.shape[0]
        by = next((d for d in (1, 2, 4, 8, 16) if ((u.array // d >= -n) & (u.array // d < n)).all()), None)
        if by is None or not n:
            return None
        at = u.name if by == 1 else f"({u.name} // {by})"
        if u.ndim == 0 and rng.random() < 0.5:  # a bound clips
            return "!" + rng.choice([f"{v.name}[{at}:]", f"{v.name}[:{at}]", f"{v.name}[{at}::-2]"])
        read = f"{v.name}[{at}]"
        kinds = [read, f"{read} * 2 + 1", f"ifelse(T.sum({u.name}) > 3, {read}, {read} * 2)"]
        if v.kind in "iuf":
            kinds += [
                f"T.{rng.choice(['set', 'inc'])}_subtensor({read}, 2)", f"T.sum({read}, axis=0)",
                f"T.inc_subtensor(T.zeros_like({v.name})[{at}], {read} * 2)",
            ]
        if u.ndim == 1 and v.kind == "f":
            kinds += [
                f"weft.map(lambda k, t: t[k] * 0.5, [{at}], [{v.name}])[0]",
                f"T.nnet.softmax({read})" if v.ndim == 1 else f"T.dot({read}, {v.name}[0])",
            ]
        if u.ndim == 1 and v.ndim > 1 and len(u.array) == v.shape[1]:
            kinds.append(f"{v.name}[{at}, T.arange({v.name}.shape[1])]")
        return "!" + rng.choice(kinds)

    def loss(self) -> str | None:
        """What losses are made of: picked elements of a log of a softmax, both sides of a sigmoid."""
        rng = self.rng
        v = self.pick("f", ndim=2)
        if v is None or 0 in v.shape or v.dtype not in ("float32", "float64"):
            return None
        at = f"np.random.default_rng({rng.randrange(99)}).integers(0, {v.shape[1]}, {v.shape[0]})"
        picked = f"[T.arange({v.name}.shape[0]), {at}]"
        return rng.choice([
            f"-T.mean(T.log(T.nnet.softmax({v.name})){picked})", f"-T.sum(T.nnet.logsoftmax({v.name}){picked})",
            f"-T.mean(T.log(T.nnet.softmax({v.name}){picked}))",
            f"T.mean(T.nnet.binary_crossentropy(T.sigmoid({v.name}), 0.25))",
            f"T.log(1 - T.sigmoid({v.name})) + T.log(T.sigmoid({v.name}))",
            f"T.log(T.sum(T.exp({v.name}), axis=1))",
            f"T.mean(T.nnet.categorical_crossentropy(T.nnet.softmax({v.name}), {at}))",
        ])  # fmt: skip
