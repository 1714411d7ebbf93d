"""Every validation table by the word that `dcsim validate` takes."""

from collections.abc import Callable

from dcsim.validation.comparison import Comparison
from dcsim.validation.deep_compression import deep_compression_table
from dcsim.validation.dram import dram_table
from dcsim.validation.eie import eie_table
from dcsim.validation.seed import seed_table
from dcsim.validation.tegra import tegra_table

TABLES: dict[str, Callable[[], tuple[Comparison, ...]]] = {
    "dram": dram_table,
    "eie": eie_table,
    "tegra": tegra_table,
    "deep-compression": deep_compression_table,
    "seed": seed_table,
}
