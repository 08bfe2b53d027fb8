# One image for every service; docker-compose.yml names the commands.
FROM python:3.11-slim-bookworm

# libgomp1: LightGBM, XGBoost and CatBoost compute in parallel with it. A new volume belongs to whom its folder in the image does.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home opora \
    && install --directory --owner opora --group opora /opora/var /opora/var/mlartifacts /opora/var/evidently

WORKDIR /opora
COPY requirements.lock .
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes --requirement requirements.lock
COPY . .

ENV PYTHONPATH=/opora PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OPORA_VAR=/opora/var
# Prefect unpacks its pages when it starts: beside its code, unless told otherwise, where this user may not write.
ENV PREFECT_SERVER_UI_STATIC_DIRECTORY=/opora/var/prefect/ui
USER opora
