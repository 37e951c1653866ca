# The broker alone, without a system: no shell, no libraries, a user that is not root.
#   docker build -t tansu .
#   docker run -p 9092:9092 -v tansu-data:/data tansu
FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
WORKDIR /tansu
COPY . .
# A package feed of your own: docker build --build-arg NUGET_SOURCE=…
ARG NUGET_SOURCE
RUN ./publish
RUN .ci/image-root /image

FROM scratch
COPY --from=build /image/etc /etc
COPY --from=build --chown=65532:65532 /image/data /data
COPY --from=build /image/tansu /tansu
USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 9092
ENTRYPOINT ["/tansu"]
