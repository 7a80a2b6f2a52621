"""The registry of real data: what each file is, where it comes from, under which licence, and how to know it again."""

from dataclasses import dataclass

__all__ = ["REGISTRY", "DataFile", "DataSet"]


@dataclass(frozen=True)
class DataFile:
    """One file: its path below each data folder, and how to know it again.

    `size` is in bytes, as published. `sha256` is that of the file or, if `unpacked` (bytes) is given, of the content of
    this gzip file, so that a recompressed copy is as good as the original. `also` lists files that may take its place.
    """

    path: str
    size: int
    sha256: str
    url: str = ""  # empty: bundled, or not to be downloaded
    unpacked: int = 0
    also: tuple["DataFile", ...] = ()


@dataclass(frozen=True)
class DataSet:
    """One data set: its files and where they come from."""

    name: str
    content: str
    licence: str
    citation: str
    home: str
    files: tuple[DataFile, ...]


_LECUN = "LeCun, Bottou, Bengio & Haffner (1998), Proceedings of the IEEE 86(11), 2278-2324, doi:10.1109/5.726791"
_MNIST = tuple(
    DataFile(
        f"mnist/{name}-ubyte.gz", size, sha256, f"https://ossci-datasets.s3.amazonaws.com/mnist/{name}-ubyte.gz", full
    )
    for name, size, full, sha256 in (
        ("train-images-idx3", 9912422, 47040016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        ("train-labels-idx1", 28881, 60008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        ("t10k-images-idx3", 1648877, 7840016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        ("t10k-labels-idx1", 4542, 10008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    )
)
_IMDB = DataFile(
    "aclImdb_v1.tar.gz",
    84125825,
    "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
    "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
    also=(  # the same labelled reviews without the 50,000 unlabelled ones, better compressed
        DataFile("aclImdb.tar.xz", 19968380, "6a236c050d1861da0ccb5488b271b5c4f3352d384703cd885da1967f3334e184"),
    ),
)

REGISTRY: dict[str, DataSet] = {
    entry.name: entry
    for entry in (
        DataSet(
            "digits",
            "5,000 handwritten digits, 500 a class, all from MNIST's training set",
            "CC BY-SA 3.0",
            _LECUN,
            "http://yann.lecun.com/exdb/mnist/",
            (DataFile("digits.npz", 821722, "246e0c30eeea57c8d0037d3f38c8e00651ec204cc61b8022563e9aeeb9d756f4"),),
        ),
        DataSet(
            "mnist",
            "60,000 handwritten digits to train on and 10,000 to test with",
            "CC BY-SA 3.0",
            _LECUN,
            "http://yann.lecun.com/exdb/mnist/",
            _MNIST,
        ),
        DataSet(
            "spoken-digits",
            "3,000 recordings of spoken digits (Free Spoken Digit Dataset, six speakers) as 13 MFCCs a frame",
            "CC BY-SA 4.0",
            "Jackson et al. (2018), Free Spoken Digit Dataset v1.0.8, doi:10.5281/zenodo.1342401",
            "https://github.com/Jakobovski/free-spoken-digit-dataset",
            (
                DataFile(
                    "spoken-digits.npz", 2623137, "27a701a4462e2b0b19bfed87d51a937b24f9f1413c8cdcdb99160e23d26349fa"
                ),
            ),
        ),
        DataSet(
            "imdb",
            "25,000 film reviews to train on and 25,000 to test with, half of each favourable",
            "research use, texts not redistributed",
            "Maas, Daly, Pham, Huang, Ng & Potts (2011), Learning Word Vectors for Sentiment Analysis, ACL, 142-150",
            "https://ai.stanford.edu/~amaas/data/sentiment/",
            (_IMDB,),
        ),
    )
}
