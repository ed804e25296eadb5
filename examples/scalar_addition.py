"""Two scalars, their sum, and a function that computes it."""

import weft
import weft.tensor as T


def main() -> None:
    a, b = T.dscalar("a"), T.dscalar("b")
    c = a + b  # nothing is computed here: c is an expression

    f = weft.function([a, b], c)  # here it becomes C, and f calls that

    print("1.5 + 2.5 =", f(1.5, 2.5))
    print("the graph:", weft.printing.pp(c))
    print(f.report())


if __name__ == "__main__":
    main()
