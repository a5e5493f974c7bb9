"""Reading pictures in processes with limits, so that a hostile one harms nothing else."""
