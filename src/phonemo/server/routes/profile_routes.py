"""GET /v1/profiles: those that are offered; POST /v1/audio/profiles: recordings in, one out.

A profile that is made is in the response and nowhere else: not in a file, a log line or a metric.
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
from phonemo.server.profile_store import check_adaptable
from phonemo.server.request_form import (
    AUDIO,
    body_schema,
    check_each_once,
    check_lengths,
    check_texts,
    check_upload,
    invalid,
    named_upload,
    read_parts,
)
from phonemo.server.request_handling import handle_upload, run_with_deadline
from phonemo.server.responses import PROFILE, PROFILES, ProfileCard, ProfileLimits, ProfileList
from phonemo.server.service import Service
from phonemo.server.settings import ServeLimits

#: Statuses of a recording that cannot be used; others are of the whole request.
_OF_RECORDING = (413, 415, 422, 504)


class ProfileFields(BaseModel):
    """The fields beside the files."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    model: str | None = None
    """A name of GET /v1/models; without one, its first."""
    response_format: Literal["json", "profile"] = "json"
    """profile: nothing but the content of the profile's file."""


@dataclass(frozen=True)
class Recordings:
    """A request that was read."""

    uploads: Sequence[UploadFile]
    fields: ProfileFields


@dataclass(frozen=True)
class Made:
    """A profile, and what it is of."""

    profile: Profile
    pool: VectorPool
    left_out: Sequence[dict[str, str]]


def profiles_router(service: Service, access: AccessPolicy) -> APIRouter:
    """The routes."""
    router = APIRouter()
    keys = [Depends(HTTPBearer(auto_error=False))] if access.wants_key else []

    @router.get(
        "/v1/profiles",
        responses=PROFILES,
        dependencies=keys,
        summary="The profiles that are offered",
        tags=["about"],
    )
    async def profiles(request: Request) -> ProfileList:
        access.check_key(request.headers)
        service.check_ready()
        return _listed(service)

    @router.post(
        "/v1/audio/profiles",
        responses=PROFILE,
        openapi_extra={"requestBody": _schema()},
        response_class=Response,
        dependencies=keys,
        summary="Make a profile of recordings of one source",
        tags=["audio"],
    )
    async def make(request: Request) -> Response:
        """The profile of a microphone, a place or a person, from unlabelled recordings.

        Send it back as `profile_json` with the recordings to be recognized. It is not stored.
        """
        read = partial(_read, limits=service.limits)
        return await handle_upload(
            service, access, request, read, partial(_answered, service, request)
        )

    return router


def _listed(service: Service) -> ProfileList:
    limits, store = service.limits, service.registry.profile_store
    cards = [
        ProfileCard(name=name, hash=profile.hash, count=profile.count, models=store.models_of(name))
        for name, profile in store.profiles.items()
    ]
    return ProfileList(
        object="list",
        data=cards,
        models=[name for name, one in service.registry.models.items() if one.reference is not None],
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
    async with read_parts(request, limits.profile_files, 0) as form:
        check_lengths(form)
        files = form.getlist("file")
        uploads = [check_upload(one) for one in files] or [check_upload(None)]
        texts = [(name, value) for name, value in form.multi_items() if name != "file"]
        check_each_once(texts)
        check_texts(dict(texts))
        try:
            fields = ProfileFields.model_validate(dict(texts))
        except ValidationError as error:
            raise invalid(error, ["file", *ProfileFields.model_fields]) from error
        yield Recordings(uploads, fields)


async def _answered(service: Service, request: Request, asked: Recordings) -> Response:
    name, listener = service.registry.find(asked.fields.model)
    check_adaptable(listener)
    made = await run_with_deadline(service, request, _made(service, listener, asked.uploads))
    if asked.fields.response_format == "profile":
        return Response(made.profile.text(), media_type="application/json")
    used = len(asked.uploads) - made.pool.silent - made.pool.failed
    return JSONResponse(
        {
            "model": name,
            "hash": made.profile.hash,
            "recordings": used,
            "silent": made.pool.silent,
            "failed": made.pool.failed,
            "left_out": list(made.left_out),
            "profile": made.profile.to_dict(),
        }
    )


async def _made(
    service: Service, listener: EmotionRecognizer, uploads: Sequence[UploadFile]
) -> Made:
    """One recording after the other, as a request has one place.

    Raises:
        Refusal: too much audio (413), no speech in any (422), or what is wrong with the only one.
    """
    pool = VectorPool(listener.adaptable())
    total, left_out = 0.0, []
    for upload in uploads:
        file = named_upload(upload)
        try:
            waveform = await service.pipeline.decode(upload.file, file)
        except (ApiError, PhonemoError) as error:
            refusal = _of_recording(error, len(uploads))
            pool.failed += 1
            left_out.append({"file": file, "code": refusal.code, "message": str(refusal)})
            continue
        total += waveform.seconds
        _check_total(total, service.limits.profile_seconds)
        if not pool.take(await service.pipeline.batcher.vectors(listener, waveform)):
            message = f"{file}: no speech; it is left out"
            left_out.append({"file": file, "code": "no_speech", "message": message})
    try:
        profile = await service.pipeline.batcher.run(pool.profile)
    except UsageError as error:
        raise ApiError(422, "no_speech", str(error), "file") from error
    return Made(profile, pool, left_out)


def _of_recording(error: ApiError | PhonemoError, recordings: int) -> ApiError:
    """Why a recording is left out; raised where it is the only one, or not its fault."""
    refusal = error if isinstance(error, ApiError) else api_error_of(error)
    if recordings == 1 or refusal.status not in _OF_RECORDING:
        raise refusal from error
    return refusal


def _check_total(seconds: float, most: float) -> None:
    if seconds > most:
        message = f"the recordings are longer than {most:g} s together; send fewer of them"
        raise ApiError(413, "audio_too_long", message, "file")
