"""Writes scipy-reference.json: the STFT of three signals as SciPy computes it. Run: pip install scipy; python scipy_reference.py"""

import json
import pathlib

import numpy
import scipy
from scipy import signal

RATE = 8000
time = numpy.arange(2000) / RATE
noise = numpy.random.default_rng(1).uniform(-1, 1, 1500)
SIGNALS = [
    ("a 440 + 880 Hz tone", numpy.sin(2 * numpy.pi * 440 * time) / 2 + numpy.sin(2 * numpy.pi * 880 * time) / 2, 256, 64),
    ("a chirp from 100 Hz to 3.5 kHz", signal.chirp(time, 100, time[-1], 3500), 512, 200),
    ("white noise", noise, 128, 32),
]


def reference(name, samples, window, hop):
    _, _, transform = signal.stft(
        samples, RATE, window="hann", nperseg=window, noverlap=window - hop, boundary=None, padded=False
    )
    magnitudes = numpy.abs(transform).T
    return {
        "name": name,
        "window": window,
        "hop": hop,
        "samples": [round(float(s), 12) for s in samples],
        "frames": magnitudes.shape[0],
        "bins": magnitudes.shape[1],
        "magnitudes": [round(float(m), 12) for m in magnitudes.ravel()],
    }


target = pathlib.Path(__file__).with_name("scipy-reference.json")
target.write_text(json.dumps({"scipy": scipy.__version__, "signals": [reference(*s) for s in SIGNALS]}) + "\n")
