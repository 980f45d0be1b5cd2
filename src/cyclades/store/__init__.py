"""The database: how it is reached (`database`), its tables (`schema`), and one module of queries for each noun."""
