"""Models of tables: text or Parquet is read, its columns become numbers, a network is trained.

``source`` finds the bytes, ``text`` and ``parquet`` make a `Table` of them, ``cells`` says what a
cell means, ``columns`` what a column is and how it becomes numbers, ``target`` what is predicted,
``problem`` splits and encodes a table, ``model`` trains on it and predicts, ``files`` keeps it.
"""
