"""The faults a person can cause and mend. The command line shows each as one message and exits 2.

Anything else that is raised is a fault of dcsim itself and exits 3.
"""


class DcsimError(Exception):
    """Base of every expected fault: what is wrong, where, and what to do about it."""


class ConfigError(DcsimError):
    """A YAML file, or a name on the command line, that cannot be used as it stands."""


class DatasetError(DcsimError):
    """A data set that is missing, damaged or empty."""


class NetworkError(DcsimError):
    """A network that cannot be built, loaded, run or traced."""


class TraceError(DcsimError):
    """A trace file that is truncated, altered or of another schema."""


class SimulationError(DcsimError):
    """A network that this SoC cannot execute at all, such as one larger than its DRAM."""


class RunFolderError(DcsimError):
    """A folder that `-o` did not write, of another schema, or altered since."""


class OutputError(DcsimError):
    """A file that cannot be written."""


class ArtifactError(DcsimError):
    """Base of every fault found while reading a `.dcz` file."""


class NotADczError(ArtifactError):
    """The file does not start with the magic bytes, or is of another version."""


class TruncatedError(ArtifactError):
    """The file ends before a length it declares."""


class ChecksumError(ArtifactError):
    """A section does not match its checksum: the file was altered."""


class MalformedError(ArtifactError):
    """Checksums match, but the content breaks a rule of the format."""
