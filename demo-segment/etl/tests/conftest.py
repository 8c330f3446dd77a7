import pandas as pd

pd.set_option("mode.string_storage", "python")  # as deployed, where pyarrow is not
