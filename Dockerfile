# The project and its environment in a container: docs/cluster.md#in-a-container. Its context is what is committed:
#     git archive HEAD | docker build -t typhon -
FROM python:3.11-slim
COPY . /typhon
RUN /typhon/run --version
WORKDIR /work
ENTRYPOINT ["/typhon/run"]
