"""GET /v1/profiles lists profiles; POST /v1/audio/profiles creates one from recordings.

A created profile is only in the response: not in a file, a log line or a metric.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.datastructures import UploadFile

from phonemo.errors import PhonemoError, UsageError
from phonemo.runtime.adaptation.pool import VectorPool
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.server.api_errors import ApiError, api_error_of
from phonemo.server.auth import AccessPolicy
from phonemo.server.models.profile_store import check_adaptable
from phonemo.server.request_handling import handle_upload, run_with_deadline
from phonemo.server.routes.answer_schemas import ProfileCard, ProfileLimits, ProfileList
from phonemo.server.routes.form_parts import (
    body_schema,
    check_each_once,
    check_lengths,
    check_texts,
    check_upload,
    invalid,
    named_upload,
    read_parts,
)
from phonemo.server.routes.request_form import AUDIO
from phonemo.server.routes.responses import PROFILE, PROFILES
from phonemo.server.service import Service
from phonemo.server.settings import ServeLimits

#: Statuses of a recording that cannot be used; other statuses fail the whole request.
_RECORDING_STATUSES = (413, 415, 422, 504)


class ProfileFields(BaseModel):
    """Form fields other than the files."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    model: str | None = None
    """A name from GET /v1/models; default: the first one."""
    response_format: Literal["json", "profile"] = "json"
    """profile: only the content of the profile file."""


@dataclass(frozen=True)
class Recordings:
    """A parsed request."""

    uploads: Sequence[UploadFile]
    fields: ProfileFields


@dataclass(frozen=True)
class CreatedProfile:
    """A profile, and the recordings that it was made from."""

    profile: Profile
    pool: VectorPool
    left_out: Sequence[dict[str, str]]


def profiles_router(service: Service, access: AccessPolicy) -> APIRouter:
    """Return the routes."""
    router = APIRouter()
    keys = [Depends(HTTPBearer(auto_error=False))] if access.wants_key else []

    @router.get(
        "/v1/profiles",
        responses=PROFILES,
        dependencies=keys,
        summary="The profiles on the server",
        tags=["about"],
    )
    async def profiles(request: Request) -> ProfileList:
        access.check_key(request.headers)
        service.check_ready()
        return _list_profiles(service)

    @router.post(
        "/v1/audio/profiles",
        responses=PROFILE,
        openapi_extra={"requestBody": _schema()},
        response_class=Response,
        dependencies=keys,
        summary="Create a profile from recordings of one source",
        tags=["audio"],
    )
    async def create(request: Request) -> Response:
        """Create a profile of a microphone, a place or a person from unlabeled recordings.

        Send it as `profile_json` with the recordings to be recognized. It is not stored.
        """
        read = partial(_read, limits=service.limits)
        return await handle_upload(
            service, access, request, read, partial(_respond, service, request)
        )

    return router


def _list_profiles(service: Service) -> ProfileList:
    limits, store = service.limits, service.registry.profile_store
    cards = [
        ProfileCard(name=name, hash=profile.hash, count=profile.count, models=store.models_of(name))
        for name, profile in store.profiles.items()
    ]
    return ProfileList(
        object="list",
        data=cards,
        models=[
            name
            for name, recognizer in service.registry.models.items()
            if recognizer.reference is not None
        ],
        limits=ProfileLimits(
            profile_bytes=limits.profile_bytes,
            profile_files=limits.profile_files,
            profile_seconds=limits.profile_seconds,
        ),
    )


def _schema() -> dict[str, Any]:
    files = {"type": "array", "items": AUDIO, "minItems": 1, "description": "Recordings."}
    return body_schema(ProfileFields, files)


@asynccontextmanager
async def _read(request: Request, limits: ServeLimits) -> AsyncIterator[Recordings]:
    most = limits.profile_files
    too_many = f"expected at most {most} recordings (limits.profile_files), got more; send fewer"
    async with read_parts(request, most, 0, too_many) as form:
        check_lengths(form)
        files = form.getlist("file")
        uploads = [check_upload(file, form) for file in files] or [check_upload(None, form)]
        texts = [(name, value) for name, value in form.multi_items() if name != "file"]
        check_each_once(texts)
        check_texts(dict(texts))
        try:
            fields = ProfileFields.model_validate(dict(texts))
        except ValidationError as error:
            raise invalid(error, ["file", *ProfileFields.model_fields]) from error
        yield Recordings(uploads, fields)


async def _respond(service: Service, request: Request, recordings: Recordings) -> Response:
    name, recognizer = service.registry.find(recordings.fields.model)
    check_adaptable(recognizer)
    created = await run_with_deadline(
        service, request, _create(service, recognizer, recordings.uploads)
    )
    if recordings.fields.response_format == "profile":
        return Response(created.profile.text(), media_type="application/json")
    used = len(recordings.uploads) - created.pool.silent - created.pool.failed
    return JSONResponse(
        {
            "model": name,
            "hash": created.profile.hash,
            "recordings": used,
            "silent": created.pool.silent,
            "failed": created.pool.failed,
            "left_out": list(created.left_out),
            "profile": created.profile.to_dict(),
        }
    )


async def _create(
    service: Service, recognizer: EmotionRecognizer, uploads: Sequence[UploadFile]
) -> CreatedProfile:
    """Process the recordings one by one, because a request holds a single slot.

    Raises:
        ApiError: too much audio (413), no speech in any recording (422), or the error of a single
            recording.
    """
    pool = VectorPool(recognizer.adaptable())
    total, left_out = 0.0, []
    for upload in uploads:
        file = named_upload(upload)
        try:
            seconds, vectors = await service.pipeline.vectors(upload.file, file, recognizer)
        except (ApiError, PhonemoError) as error:
            api_error = _recording_error(error, len(uploads))
            pool.failed += 1
            left_out.append({"file": file, "code": api_error.code, "message": str(api_error)})
            continue
        total += seconds
        _check_total(total, service.limits.profile_seconds)
        if not pool.take(vectors):
            message = f"{file}: no speech; it is left out"
            left_out.append({"file": file, "code": "no_speech", "message": message})
    try:
        profile = await service.pipeline.batcher.run(pool.profile)
    except UsageError as error:
        raise ApiError(422, "no_speech", str(error), "file") from error
    return CreatedProfile(profile, pool, left_out)


def _recording_error(error: ApiError | PhonemoError, recordings: int) -> ApiError:
    """Return why a recording is left out; raise if it is the only one, or not the cause."""
    api_error = error if isinstance(error, ApiError) else api_error_of(error)
    if recordings == 1 or api_error.status not in _RECORDING_STATUSES:
        raise api_error from error
    return api_error


def _check_total(seconds: float, limit: float) -> None:
    if seconds > limit:
        message = f"expected at most {limit:g} s in total (limits.profile_seconds), got "
        message += f"{seconds:.1f} s or more; send fewer of them"
        raise ApiError(413, "audio_too_long", message, "file")
