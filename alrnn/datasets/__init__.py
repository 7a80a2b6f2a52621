"""Real data: bundled with the package, from a local folder, or from a checksummed download.

Every file is looked for in this order: the bundled folder `data/`, the folder named by the environment variable
ALRNN_DATA, the user's cache, and at last the public address it comes from; in a folder also flat, unpacked, or where
others keep it. Its SHA-256 is checked each time it is read; a file that differs is refused (`DataError`). Nothing is
unpickled and no archive is unpacked to disk.
"""

from .fetch import DataError, describe, fetch
from .readers import digits, imdb, mnist, result_tables, results, shakespeare, spoken_digits, wikitext2
from .registry import REGISTRY, DataFile, DataSet
from .two_step import two_step, two_step_spikes

__all__ = ["REGISTRY", "DataError", "DataFile", "DataSet", "describe", "fetch", "result_tables", "results"]
__all__ += ["digits", "imdb", "mnist", "shakespeare", "spoken_digits", "two_step", "two_step_spikes", "wikitext2"]
__dir__ = __all__.copy  # dir() shows what is public
