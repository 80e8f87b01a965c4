-- Postgres makes the one for MLflow by itself (POSTGRES_DB).
CREATE DATABASE prefect;
