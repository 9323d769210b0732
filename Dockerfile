# The image of every node: same code, same pins as `make setup`.
FROM python:3.11-slim-bookworm
RUN apt-get update -q && apt-get install -qy --no-install-recommends make && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 10001 touchline
WORKDIR /home/touchline/app
COPY --chown=touchline . .
USER touchline
RUN make setup PYTHON=python3
ENV PATH=/home/touchline/app/.venv/bin:$PATH RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
ENTRYPOINT ["touchline"]
CMD ["doctor"]
