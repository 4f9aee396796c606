#!/usr/bin/env python3
"""run_ort.py's counterpart for mary's own Python package: same arguments, same line of JSON."""
import json

import mary
import numpy

from run_ort import arguments, measure


def main():
    options = arguments(__doc__).parse_args()

    def create():
        return mary.InferenceSession(options.model, threads=options.threads)

    def run(session, rows):
        return session.run([session.get_outputs()[0].name], {session.get_inputs()[0].name: rows})[0]

    figures = measure(create, run, numpy.load(options.input), options.batch, options.output)
    print(json.dumps({"runtime": "mary (Python)", "version": mary.__version__, **figures}))


if __name__ == "__main__":
    main()
